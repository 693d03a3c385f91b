package node_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transfer"
)

// BenchmarkStatement reads what is stored of a bank with 512,000 entries, half of them of @cash and the others of 1,000 accounts by chance: pages of 100 entries of one account's
// statement, 1,000 entries of the journal, and all of it, as a scan does. Once as builds before runs have stored it, and once in runs.
func BenchmarkStatement(b *testing.B) {
	for _, runs := range []bool{false, true} {
		b.Run(fmt.Sprintf("runs=%t", runs), func(b *testing.B) {
			l, reader := storedBank(b, runs)
			for _, account := range []transfer.AccountID{"0500", "@cash"} {
				b.Run("account="+string(account), func(b *testing.B) {
					after := uint64(0)
					for b.Loop() {
						entries, last, more, err := l.Statement(account, after, time.Time{}, time.Time{}, 100)
						if err != nil || len(entries) == 0 {
							b.Fatal(len(entries), err)
						}
						if after = last; !more {
							after = 0
						}
					}
				})
			}
			b.Run("journal", func(b *testing.B) {
				for b.Loop() {
					if entries, err := l.Entries(rand.Uint64N(l.LastEntry()-1000), 1000); err != nil || len(entries) != 1000 {
						b.Fatal(len(entries), err)
					}
				}
			})
			b.Run("scan", func(b *testing.B) {
				for b.Loop() {
					if s, err := ledger.Scan(reader); err != nil || s.Recorded != s.Computed {
						b.Fatal(s, err)
					}
				}
			})
		})
	}
}

// storedBank has made 40 checkpoints of 6,400 payments each.
func storedBank(b *testing.B, runs bool) (*ledger.Ledger, *storage.Reader) {
	const group = "bank/A"
	s, err := storage.Open(b.TempDir(), storage.Identity{Cluster: "c", Node: 1}, storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if _, err := s.Load(group); err != nil {
		b.Fatal(err)
	}
	l, err := ledger.New(s.Reader(group))
	if err != nil {
		b.Fatal(err)
	}
	if runs {
		l.WriteRuns()
	}
	index, at := raft.Index(0), time.Unix(1_700_000_000, 0)
	apply := func(commands []ledger.Command) {
		index++
		at = at.Add(time.Millisecond)
		if _, err := l.Apply(uint64(index), ledger.Encode(at, commands)); err != nil {
			b.Fatal(err)
		}
		if err := s.Commit([]storage.GroupUpdate{{Group: group, Entries: []raft.Entry{{Index: index, Term: 1, Kind: raft.Normal}}}}); err != nil {
			b.Fatal(err)
		}
	}
	commands := []ledger.Command{{Open: &bank.Terms{ID: "@cash", Currency: "CZK", Unlimited: true}}}
	for i := range 1000 {
		commands = append(commands, ledger.Command{Open: &bank.Terms{ID: transfer.AccountID(fmt.Sprintf("%04d", i)), Currency: "CZK"}})
	}
	apply(commands)
	commands = nil
	rng := rand.New(rand.NewPCG(1, 2))
	for id := uint64(1); id <= 40*6400; id++ {
		prepare := bank.Request{Op: bank.Prepare, Legs: []transfer.Leg{
			{Account: "@cash", Direction: transfer.Debit, AmountMinor: 1, Currency: "CZK"},
			{Account: transfer.AccountID(fmt.Sprintf("%04d", rng.IntN(1000))), Direction: transfer.Credit, AmountMinor: 1, Currency: "CZK"},
		}}
		binary.BigEndian.PutUint64(prepare.ID[:], id)
		commit := bank.Request{Op: bank.Commit, ID: prepare.ID}
		if commands = append(commands, ledger.Command{Request: &prepare}, ledger.Command{Request: &commit}); id%256 == 0 {
			apply(commands)
			commands = nil
		}
		if id%6400 > 0 {
			continue
		}
		state := [][]storage.KV{l.Checkpoint(), l.Sealed(math.MaxInt32)}
		if done, err := s.Checkpoint(&storage.Checkpoint{Group: group, Applied: index, State: state}, nil); !done || err != nil {
			b.Fatal(done, err)
		}
		l.Checkpointed()
	}
	return l, s.Reader(group)
}
