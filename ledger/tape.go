package ledger

// tape is a sequence that only grows, until it is emptied. It grows by chunks, so that a long one is
// never copied.
type tape[T any] struct {
	chunks [][]T
	length int
}

const tapeChunk = 1 << 7 // elements: a bank that has only just started takes little room

func (t *tape[T]) add(v T) *T {
	c := t.length / tapeChunk
	if c == len(t.chunks) {
		t.chunks = append(t.chunks, make([]T, tapeChunk))
	}
	t.length++
	p := &t.chunks[c][(t.length-1)%tapeChunk]
	*p = v
	return p
}

func (t *tape[T]) at(i int) *T { return &t.chunks[i/tapeChunk][i%tapeChunk] }

// empty costs the same however long it was: what it held is the garbage collector's.
func (t *tape[T]) empty() { *t = tape[T]{} }
