package workload

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// Config describes seeded traffic between the accounts of a few banks.
type Config struct {
	Seed            uint64
	Banks           []transfer.BankID // at least 1
	AccountsPerBank int               // at least 2
	Currency        transfer.Currency
	AmountMaxMinor  int64   // amounts are 1..AmountMaxMinor
	Legs            int     // of a transfer, 2 to transfer.LegsMax; 0: 2
	Skew            float64 // 0: accounts are chosen evenly; above 0: Zipf with exponent 1+Skew, so that a few are hot
}

// Generator makes the same transfers from the same Config. It is owned by one caller.
type Generator struct {
	cfg  Config
	rng  *rand.Rand
	zipf *rand.Zipf // nil: even
}

// New makes a generator.
func New(cfg Config) *Generator {
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))
	g := &Generator{cfg: cfg, rng: rng}
	if cfg.Skew > 0 {
		g.zipf = rand.NewZipf(rng, 1+cfg.Skew, 1, uint64(cfg.AccountsPerBank-1))
	}
	return g
}

// Places lists every account of the traffic, with the overdraft to open it on.
func (g *Generator) Places(overdraftMinor int64) []Place {
	var places []Place
	for _, b := range g.cfg.Banks {
		for i := range g.cfg.AccountsPerBank {
			places = append(places, Place{Bank: b, Terms: bank.Terms{ID: accountName(i), Currency: g.cfg.Currency, OverdraftMinor: overdraftMinor}})
		}
	}
	return places
}

// accountName is acct-00042. It is made by hand: a load generator makes two a transfer.
func accountName(i int) transfer.AccountID {
	name := append(make([]byte, 0, 16), "acct-"...)
	for least := 10_000; i < least && least > 1; least /= 10 {
		name = append(name, '0')
	}
	return transfer.AccountID(strconv.AppendInt(name, int64(i), 10))
}

// Next makes the next transfer: one amount from an account of one bank to an account of another (with one
// bank: to another account). Further legs credit accounts of the banks that follow, and the debit pays for all. The
// deadline is left to the caller.
func (g *Generator) Next() transfer.Transfer {
	from := g.rng.IntN(len(g.cfg.Banks))
	to := g.other(from, len(g.cfg.Banks))
	debited, credited := g.account(), g.account()
	if from == to && debited == credited {
		credited = g.other(debited, g.cfg.AccountsPerBank)
	}
	amount := 1 + g.rng.Int64N(g.cfg.AmountMaxMinor)
	t := transfer.Transfer{ID: g.id(), Legs: make([]transfer.Leg, 0, max(2, g.cfg.Legs))}
	t.Legs = append(t.Legs,
		transfer.Leg{Bank: g.cfg.Banks[from], Account: accountName(debited), Direction: transfer.Debit, AmountMinor: amount, Currency: g.cfg.Currency},
		transfer.Leg{Bank: g.cfg.Banks[to], Account: accountName(credited), Direction: transfer.Credit, AmountMinor: amount, Currency: g.cfg.Currency},
	)
	for len(t.Legs) < g.cfg.Legs {
		to = (to + 1) % len(g.cfg.Banks)
		more := 1 + g.rng.Int64N(g.cfg.AmountMaxMinor)
		t.Legs = append(t.Legs, transfer.Leg{Bank: g.cfg.Banks[to], Account: accountName(g.account()), Direction: transfer.Credit, AmountMinor: more, Currency: g.cfg.Currency})
		t.Legs[0].AmountMinor += more
	}
	return t
}

func (g *Generator) account() int {
	if g.zipf != nil {
		return int(g.zipf.Uint64())
	}
	return g.rng.IntN(g.cfg.AccountsPerBank)
}

// other chooses one of n that differs from the given one, if there is one.
func (g *Generator) other(than, n int) int {
	if n == 1 {
		return than
	}
	return (than + 1 + g.rng.IntN(n-1)) % n
}

// id makes a UUID of version 8: all of it comes from the seed.
func (g *Generator) id() transfer.ID {
	var id transfer.ID
	binary.BigEndian.PutUint64(id[:8], g.rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], g.rng.Uint64())
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
