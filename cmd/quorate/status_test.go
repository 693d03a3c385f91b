package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/client"
)

// TestManyGroupsFitALine: a node of hundreds of banks is read by people, too.
func TestManyGroupsFitALine(t *testing.T) {
	var s client.Status
	var m client.Member
	s.Cluster = "local"
	for i := range 200 {
		s.Groups = append(s.Groups, client.GroupStatus{Group: fmt.Sprintf("bank/b%03d", i), Leader: uint64(i % 2)})
		m.Groups = append(m.Groups, s.Groups[i].Group)
	}
	const want = "cluster local: 0 in doubt, 0 banks up, 0 down, no leader: bank/b000 bank/b002 bank/b004 bank/b006 bank/b008 bank/b010 bank/b012 bank/b014 and 92 more"
	if got := headline([]view{{status: s}}); got != want {
		t.Errorf("%q", got)
	}
	s.Groups = s.Groups[:3]
	if got := headline([]view{{status: s}}); got != "cluster local: 0 in doubt, 0 banks up, 0 down, no leader: bank/b000 bank/b002" {
		t.Errorf("%q", got)
	}
	for count, want := range map[int]string{8: "a b c d e f g h", 9: "a b c d e f g h and 1 more"} {
		if got := someOf(strings.Split("abcdefghi", "")[:count]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	rows := memberTable([]client.Member{m}).rows
	if got := rows[0][len(rows[0])-1]; got != "bank/b000 bank/b001 bank/b002 bank/b003 bank/b004 bank/b005 bank/b006 bank/b007 and 192 more" {
		t.Errorf("%q", got)
	}
}
