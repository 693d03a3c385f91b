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
	// Checkpoint begins a checkpoint of what has changed since the last one, and returns what may change again.
	Checkpoint() []KV
	// Sealed returns the next records of that checkpoint, most of them at most, while Apply goes on; fewer: that was all.
	Sealed(most int) []KV
	// Checkpointed says that the last checkpoint is durable and shown by the machine's reader.
	Checkpointed()
	// Reload forgets everything and begins again with what the machine's reader shows: another member's snapshot was installed.
	Reload() error
}
