"""What only the operator's commands refuse or fail at; see `annexshell.errors`."""

from __future__ import annotations

from annexshell.errors import AnnexshellError, ShellError


class NoRepositoryHere(ShellError):
    text = (
        "no git repository is here or above ({path}): go to the gateway's repository, or"
        " name it with -C"
    )


class NotYours(ShellError):
    """Its remotes are used by programs that its config names (spec 02 §4.1)."""

    text = (
        "not used, the repository is another user's ({path}): do this as its owner, or set"
        " safe.directory in this account's git config if it is trusted"
    )


class BadClusterName(ShellError):
    """Any other is refused by git, or changed when it is read back (spec 01 §8.1)."""

    text = (
        "{name} cannot be the name of a cluster: use lower-case letters, digits and -,"
        " beginning with a letter"
    )


class OtherCluster(ShellError):
    text = (
        "annex.cluster.{name} is another cluster here, {uuid} ({path}): unset it in the git"
        " config, or give it another name, before this gateway joins {other}"
    )


class NoSuchRemote(ShellError):
    text = (
        'there is no available git remote named "{name}" ({path}): {gateway} must be a git'
        " remote over ssh whose annex-uuid is known, and a gateway of the cluster by the"
        " git-annex branch; fetch from it first, and for --dry-run also git annex merge"
    )


class NotACluster(ShellError):
    text = "{name} is not a cluster remote ({path}): give the name of a cluster of {gateway}"


# -- looking after clusters -------------------------------------------------------------------


class NoSuchCluster(ShellError):
    text = (
        "no such cluster here: {name} ({path}): those configured are: {there}; a new one is"
        " made by annexshell-admin initcluster"
    )


class ClusterNameTaken(ShellError):
    text = "{name} is the name of {what} already: choose another"


class ConfigNotWritten(ShellError):
    text = "the git config could not be changed ({name}): {detail}"


class NotANode(ShellError):
    text = (
        "{name} is no node of the cluster {cluster}: name one of its nodes by its remote or"
        " its uuid; annexshell-admin cluster status lists them"
    )


class NodeElsewhere(ShellError):
    text = "{name} is a node behind another gateway: take it out of the cluster {cluster} there"


class NodeByDefault(ShellError):
    text = (
        "annex.cluster-node makes every remote a node of {cluster}, also {name}: set"
        " annex-cluster-node of single remotes instead"
    )


class HoldsLastCopies(ShellError):
    """Nothing would be deleted, but nobody would find it through the cluster any more."""

    text = (
        "{name} holds copies that are needed, of {count}: without it fewer than"
        " {numcopies} trusted copies would be left ({first}): copy them elsewhere, as with"
        " git annex copy --all --from {name} --to OTHER, or use --force, which deletes"
        " nothing either"
    )


class DotMissing(ShellError):
    text = (
        "Graphviz's program dot is not in PATH (--format svg): install the package"
        " graphviz, or draw what --format dot prints elsewhere"
    )


class DotFailed(ShellError):
    text = "Graphviz's program dot failed (--format svg): {detail}"


# -- warnings: nothing comes to a halt; the first sentences are git-annex's own ---------------


class UnknownUUID(AnnexshellError):
    text = (
        "{name} is a git remote without a known annex-uuid. Cannot {use}. Suggest you run:"
        " git-annex info {name}"
    )


class ExportOnly(AnnexshellError):
    text = (
        "{name} is a special remote configured with exporttree=yes, but without"
        " annexobjects=yes. Cannot {use}. Suggest you run: git-annex enableremote {name}"
        " annexobjects=yes"
    )


class IllegalName(AnnexshellError):
    """git-annex publishes it, and every reader then leaves it out."""

    text = (
        "{name} is not a name that clients take. Cannot {use}. Suggest you run: git remote"
        " rename {name} NAME, with letters, digits, _, - and . in it"
    )


class NoCluster(AnnexshellError):
    text = (
        "this repository is a gateway of no cluster: make one with"
        " annexshell-admin initcluster NAME, or join one with extendcluster"
    )


class UnknownCluster(AnnexshellError):
    """It is published all the same, as git-annex does, and then refused to clients."""

    text = (
        "{name} is to be a node of {cluster}, but annex.cluster.{cluster} is not set here:"
        " correct remote.{name}.annex-cluster-node, or run annexshell-admin initcluster"
        " {cluster}"
    )


# -- preferred content ------------------------------------------------------------------------


class NoSuchRepository(ShellError):
    text = (
        'there is no repository named "{name}" ({path}): give the name of a remote, a'
        " description or a uuid; annexshell-admin maxsize lists them"
    )


class SeveralRepositories(ShellError):
    text = (
        "several repositories are described as {name} ({path}): give the uuid of the one"
        " that is meant: {uuids}"
    )


class RepositoryWithoutUUID(ShellError):
    text = (
        "the uuid of the remote {name} is not known ({path}): git annex info {name} finds"
        " it out"
    )


class BadGroupName(ShellError):
    """git-annex makes several groups of it, or breaks the log."""

    text = (
        "{name} cannot be the name of a group: a space or the end of a line in it would"
        " make several names of it, or none"
    )


class SizeNotParsed(ShellError):
    text = (
        "{size} is no size (maxsize {name}): write a number and a unit, as in 100GB, 1.5TB"
        " or 500GiB"
    )


class NegativeSize(ShellError):
    text = "a repository cannot get less than empty (maxsize {name}): give a size of 0 or more"


class ExpressionNotParsed(ShellError):
    """``shown`` are lines, with a mark under each fault; fit to be printed."""

    text = "the expression cannot be parsed, nothing changed ({command} {name}): {problems}"

    def __init__(self, shown: str, **fields: object) -> None:
        self.shown = shown
        super().__init__(**fields)
