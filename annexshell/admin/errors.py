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
        " git-annex branch; fetch from it first"
    )


class NotACluster(ShellError):
    text = "{name} is not a cluster remote ({path}): give the name of a cluster of {gateway}"


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
