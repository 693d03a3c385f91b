package room_test

import (
	"testing"

	"github.com/quorate/quorate/internal/room"
)

func TestEmptiedKeepsTheRoomAndNothingInIt(t *testing.T) {
	value := 1
	s := make([]*int, 2, 4)
	s[0], s[1] = &value, &value
	got := room.Emptied(s, 4)
	if len(got) != 0 || cap(got) != 4 {
		t.Fatalf("%d elements in room for %d, want none in room for 4", len(got), cap(got))
	}
	for i, p := range got[:cap(got)] {
		if p != nil {
			t.Errorf("element %d is still held", i)
		}
	}
	if got := room.Emptied(s, 3); got != nil {
		t.Errorf("room for %d is kept where 3 is the most", cap(got))
	}
}
