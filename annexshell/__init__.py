"""annexshell: a git-annex-shell for servers and gateways.

What flows where, from the first word of a client to the last byte of a file:

    warm        a light launcher, and the resident process that forks sessions for it
    cli         reads environment, argv and stdio, once; restricted shell and administration
    policy      what a forced command allows: restrictions, confinement, server modes
    admin       what the operator of a gateway does, without its output
    serve       one client's conversation, answered from a Store
    store       the one interface behind the conversation
    local       Store: this repository, or one on this machine, opened in process
    remotes     Store: a git remote spoken to over a link (PeerStore)
    cluster     Store: many Stores that are one repository to clients
    proxy       Store: a remote whose location the gateway records
    placement   where content belongs, by what the gateway knows
    wanted      preferred content: the language, and the balanced choice; pure
    repository  git-annex's files on disk: objects, locks, journal, branch; blocking
    logs        the texts of the git-annex branch; pure
    transport   trio: links, channels, and the moving of bytes between descriptors
    protocol    the P2P protocol without I/O: messages, grammar, parser, conversation
    model       values: keys, uuids, clocks, payloads
    errors      everything that can be refused or fail
    sshd        an embedded ssh server for the demo, for tests, for machines without sshd

A package imports only those below it in docs/design.md; tests/test_architecture.py holds
it to that.
"""

__version__ = "0.1.0"
