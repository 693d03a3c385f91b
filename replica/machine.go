package replica

import "github.com/quorate/quorate/raft"

// KV is one key of a machine's stored state; a nil Value deletes it.
type KV = struct{ Key, Value []byte }

// Machine is a deterministic state machine that keeps what it has changed since its last checkpoint in memory.
type Machine interface {
	// Apply executes one committed entry. An error means damaged bytes or a failing reader: the process must stop.
	Apply(e raft.Entry) error
	// Hash stands for the whole state: equal on machines that applied the same entries.
	Hash() uint64
	// Checkpoint returns what has changed since the last Checkpoint.
	Checkpoint() []KV
	// Checkpointed says that the last Checkpoint is durable and shown by the machine's reader.
	Checkpointed()
	// Reload forgets everything and begins again with what the machine's reader shows: another member's snapshot was installed.
	Reload() error
}
