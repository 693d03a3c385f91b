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

func TestGrownHasRoomForAllAndKeepsLittleElse(t *testing.T) {
	value := 1
	s := []*int{&value, &value, &value}
	for _, tt := range []struct {
		name          string
		n, most, want int
		same          bool
	}{
		{"enough room is kept", 2, 3, 3, true},
		{"room that is needed is kept, however much", 3, 1, 3, true},
		{"too little is made anew", 4, 8, 4, false},
		{"too much is let go", 1, 2, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s[0] = &value
			got := room.Grown(s, tt.n, tt.most)
			if len(got) != 0 || cap(got) != tt.want {
				t.Fatalf("%d elements in room for %d, want none in room for %d", len(got), cap(got), tt.want)
			}
			if same := &got[:1][0] == &s[0]; same != tt.same {
				t.Errorf("the same room: %t, want %t", same, tt.same)
			}
			if tt.same && s[0] != nil {
				t.Error("an element is still held")
			}
		})
	}
}
