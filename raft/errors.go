package raft

import (
	"errors"
	"fmt"
)

// Errors of proposals, reads, membership changes and transfers. Nothing has happened when one of them is returned.
var (
	ErrNotLeader    = errors.New("this node is not the leader")
	ErrWrongTerm    = errors.New("the leader's term is not the one the proposal belongs to")
	ErrBusy         = errors.New("too many bytes wait to be committed")
	ErrTransferring = errors.New("leadership is being transferred, or the leader is leaving the group")
	ErrPending      = errors.New("another membership change is not applied yet")
	ErrNoQuorum     = errors.New("too few of the voters after the change have been heard lately; let newcomers learn first")
	ErrNotVoter     = errors.New("the node is not a voter of this group")
	ErrSelf         = errors.New("the node is the leader already")
)

// ErrBadState says that what the disk remembered can't have been written by this package, or is damaged.
var ErrBadState = errors.New("the stored state is damaged")

// ErrBadConfig says that a Config makes no sense.
var ErrBadConfig = errors.New("the configuration is not valid")

// ErrBadMessage says that a peer sent what no correct peer sends. The message changed nothing.
var ErrBadMessage = errors.New("the message is not valid")

// ErrUnsafe says that a peer contradicts what is decided: a second leader in one term, or another entry where this node has
// a committed one. Some disk or some code lied. No entry was changed; the host must stop the process.
var ErrUnsafe = errors.New("a peer contradicts what is decided")

// ErrLost is the ErrUnsafe of a node that its leader knows to have had more: entries that it acknowledged as durable are missing here, as from an older copy of the
// disk or one that lied. Whatever else it promised may be missing, too: the host must not start again with this state.
var ErrLost = fmt.Errorf("%w: this node lacks entries that it had acknowledged, its disk is an older copy or has lost what was synced", ErrUnsafe)

// ErrCompact says that the log is still needed: keep it.
var ErrCompact = errors.New("the log can't be dropped up to there")

// ErrNoSnapshot says that no snapshot is being sent to that node, or the chunk isn't the one asked for.
var ErrNoSnapshot = errors.New("no such snapshot chunk was asked for")
