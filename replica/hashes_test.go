package replica_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
)

func TestTheHashOfAnEntryIsRememberedForAWhile(t *testing.T) {
	const remembered = 4096 // at least, and at most twice as many
	s := newSingle(t, 1<<30)
	last := raft.Index(1) // the no-op of the first leader
	for last < 3*remembered {
		s.propose("x")
		s.persistAll()
		last++
		if hash, known := s.HashAt(last); !known || hash != uint64(last-1) {
			t.Fatalf("after entry %d: %d, %v", last, hash, known)
		}
	}
	for index := last - remembered + 1; index <= last; index++ {
		if hash, known := s.HashAt(index); !known || hash != uint64(index-1) {
			t.Fatalf("entry %d of %d: %d, %v", index, last, hash, known)
		}
	}
	for _, index := range []raft.Index{0, last - 2*remembered, last + 1} {
		if hash, known := s.HashAt(index); known {
			t.Errorf("entry %d of %d: %d", index, last, hash)
		}
	}
}

func TestMembersHaveTheSameHashAtTheSameEntryAlsoAfterASnapshot(t *testing.T) {
	tr := newTrio(t, 1000, 10_000)
	tr.propose(3)
	tr.members[3].up = false
	missed := tr.members[3].Applied() + 1
	tr.propose(40)
	tr.comeBack()
	tr.propose(3)
	if tr.chunks == 0 {
		t.Fatal("no snapshot was sent")
	}
	if _, known := tr.members[3].HashAt(missed); known {
		t.Errorf("member 3 knows the hash at entry %d, which it never applied", missed)
	}
	last, compared := tr.members[1].Applied(), 0
	for index := last - 5; index <= last; index++ {
		leader, _ := tr.members[1].HashAt(index)
		for id, m := range tr.members[2:] {
			if hash, known := m.HashAt(index); known {
				compared++
				if hash != leader {
					t.Errorf("entry %d: member %d has %x, the leader %x", index, id+2, hash, leader)
				}
			}
		}
	}
	if compared < 8 {
		t.Errorf("only %d hashes could be compared", compared)
	}
}
