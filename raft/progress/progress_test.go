package progress_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate/quorate/raft/progress"
)

var wide = progress.Limits{Messages: 100, Bytes: 1 << 20}

func fresh() *progress.Progress {
	p := &progress.Progress{}
	p.Reset(11, 0)
	return p
}

func streaming() *progress.Progress {
	p := fresh()
	p.Sent(10, 0)
	p.Acked(10)
	return p
}

func TestProbeSendsOneAndWaits(t *testing.T) {
	p := fresh()
	if !p.MaySend(wide) {
		t.Fatal("a fresh probe may send")
	}
	p.Sent(12, 10)
	if p.MaySend(wide) {
		t.Fatal("one append is out")
	}
	if !p.Acked(12) || p.State != progress.Replicate || p.Next != 13 {
		t.Fatalf("an answer ends the search: %+v", p)
	}
}

func TestStreamingStopsAtEitherLimit(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits progress.Limits
		sent   int
	}{
		{"messages", progress.Limits{Messages: 3, Bytes: 1000}, 3},
		{"bytes", progress.Limits{Messages: 100, Bytes: 25}, 3},
		{"one message larger than the limit still goes", progress.Limits{Messages: 100, Bytes: 5}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := streaming()
			n := 0
			for p.MaySend(row.limits) {
				p.Sent(p.Next, 10)
				n++
			}
			if messages, bytes := p.InFlight(); n != row.sent || messages != n || bytes != uint64(10*n) {
				t.Fatalf("sent %d, under way %d with %d bytes, want %d", n, messages, bytes, row.sent)
			}
			p.Acked(11)
			if !p.MaySend(row.limits) {
				t.Fatal("an answer makes room")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Run("an old one changes nothing", func(t *testing.T) {
		p := streaming()
		if p.Rejected(10, 5) || p.State != progress.Replicate {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("a fresh one sends streaming back to probing at the hint", func(t *testing.T) {
		p := streaming()
		p.Sent(20, 10)
		if !p.Rejected(20, 15) || p.State != progress.Probe || p.Next != 15 {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("never below what the peer has", func(t *testing.T) {
		p := streaming()
		p.Sent(20, 10)
		p.Rejected(20, 3)
		if p.Next != 11 {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("one for another probe is old", func(t *testing.T) {
		p := fresh()
		if p.Rejected(7, 3) || p.Next != 11 {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("none counts while a snapshot is under way", func(t *testing.T) {
		p := fresh()
		p.NeedsSnapshot(3)
		if p.Rejected(10, 3) || p.MaySend(wide) || p.State != progress.Snapshot {
			t.Fatalf("%+v", p)
		}
	})
}

func TestSearchTakesLogarithmicallyManySteps(t *testing.T) {
	p := &progress.Progress{}
	p.Reset(100_001, 0)
	steps := 0
	for p.Next > 1 {
		if !p.Rejected(p.Next-1, p.Next-1) { // each hint gains one entry only
			t.Fatal("a fresh refusal was taken for an old one")
		}
		steps++
	}
	if steps > 25 {
		t.Fatalf("%d steps", steps)
	}
}

func TestHeartbeatDoubtsOnlyWhatStandsStill(t *testing.T) {
	p := streaming()
	p.HeartbeatDue()
	p.Sent(11, 10)
	if !p.HeartbeatDue() {
		t.Fatal("11 is under way and nothing was answered since the last heartbeat")
	}
	p.Acked(11)
	p.Sent(12, 10)
	if p.HeartbeatDue() {
		t.Fatal("11 was answered since the last heartbeat")
	}
}

func TestVerifyFindsWhatIsBroken(t *testing.T) {
	broken := fresh()
	broken.Match = broken.Next
	crowded := streaming()
	crowded.Sent(11, 1)
	crowded.Sent(12, 1)
	lost := streaming()
	lost.Sent(11, 1)
	lost.State = progress.Probe
	for want, p := range map[string]*progress.Progress{"not below next": broken, "limit 1": crowded, "in state probe": lost} {
		if err := p.Verify(progress.Limits{Messages: 1, Bytes: 1000}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestStateNames(t *testing.T) {
	for want, s := range map[string]progress.State{"probe": progress.Probe, "replicate": progress.Replicate, "snapshot": progress.Snapshot, "state 9": 9} {
		if s.String() != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
}

// The window against a plain list.
func TestWindowCountsWhatIsUnderWay(t *testing.T) {
	type flight struct{ last, bytes uint64 }
	rapid.Check(t, func(t *rapid.T) {
		p := streaming()
		var model []flight
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "send") {
				last, bytes := uint64(p.Next)+rapid.Uint64Range(0, 3).Draw(t, "more"), rapid.Uint64Range(1, 50).Draw(t, "bytes")
				p.Sent(progress.Index(last), bytes)
				model = append(model, flight{last, bytes})
			} else {
				to := rapid.Uint64Range(0, uint64(p.Next)-1).Draw(t, "to")
				p.Acked(progress.Index(to))
				for len(model) > 0 && model[0].last <= to {
					model = model[1:]
				}
			}
			var sum uint64
			for _, f := range model {
				sum += f.bytes
			}
			if n, bytes := p.InFlight(); n != len(model) || bytes != sum {
				t.Fatalf("%d with %d bytes, want %d with %d", n, bytes, len(model), sum)
			}
			if err := p.Verify(progress.Limits{Messages: 1000, Bytes: 1}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
