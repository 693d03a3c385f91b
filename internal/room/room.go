// Package room lets a slice's room be used again.
//
// A step hands out slices that its caller has finished with by the next step. What they pointed to must be let go of by then, and so must room that one
// large step needed and most don't.
package room

// Emptied is the room of a slice, without what was in it; nil if there is room for more than most elements.
func Emptied[T any](s []T, most int) []T {
	clear(s)
	if cap(s) > most {
		return nil
	}
	return s[:0]
}

// Grown is a slice's room without what was in it, for n elements at least. There is no more of it than for n, or for most if that is more.
func Grown[T any](s []T, n, most int) []T {
	if s = Emptied(s, max(n, most)); cap(s) < n {
		return make([]T, 0, n)
	}
	return s
}
