"""What only the operator's commands refuse or fail at; see `annexshell.errors`."""

from __future__ import annotations

from annexshell.errors import ShellError


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


class NoSuchCluster(ShellError):
    text = (
        "no such cluster here: {name} ({path}): those configured are: {there}; a new one is"
        " made by git annex initcluster"
    )


class BadClusterName(ShellError):
    """git keeps the name as a variable's, in lower case (spec 01 §8.1)."""

    text = (
        "not a name that a cluster can have: {name}: use lower-case letters, digits and -,"
        " with a letter first"
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
