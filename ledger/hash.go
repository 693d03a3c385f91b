package ledger

import (
	"math/bits"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// The state hash is the sum, modulo 2^64, of one digest per record: account, hold, finished id and
// journal entry. A sum can be kept up to date by subtracting the old digest of what changes and adding the new one, it
// doesn't depend on any order, and Check can compute it again from what is stored (Bellare and
// Micciancio, "A New Paradigm for Collision-Free Hashing", 1997, have the idea with stronger parts). It finds
// replicas that went apart by a fault; it is no defence against somebody who constructs collisions.
//
// Digests are made from fields in the order below, never from encoded bytes. The sentence
// of a refusal is left out: releases may word it differently.

// digest is a fold of 64-bit words by multiplication.
type digest uint64

const (
	digestSeed   = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	digestFactor = 0xD6E8FEB86659FD93 // odd, its bits well spread
)

func (d digest) word(w uint64) digest {
	high, low := bits.Mul64(uint64(d)^w, digestFactor)
	return digest(high^low) + digestSeed
}

func (d digest) text(s string) digest {
	d = d.word(uint64(len(s)))
	for ; len(s) >= 8; s = s[8:] {
		d = d.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
	}
	var rest uint64
	for i := range len(s) {
		rest |= uint64(s[i]) << (8 * i)
	}
	return d.word(rest)
}

func (d digest) id(id [16]byte) digest {
	for i := 0; i < 16; i += 8 {
		s := id[i : i+8]
		d = d.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
	}
	return d
}

func (d digest) bool(v bool) digest {
	if v {
		return d.word(1)
	}
	return d.word(0)
}

// nameDigest is the part of an account that its entries and its record share.
func nameDigest(id transfer.AccountID, c transfer.Currency) digest {
	return digest(digestSeed).text(string(id)).text(string(c))
}

func digestOfAccount(name digest, a *bank.Account) uint64 {
	d := name.word(keyAccount).word(uint64(a.OverdraftMinor)).bool(a.Unlimited).word(uint64(a.Status))
	return uint64(d.word(uint64(a.PostedMinor)).word(uint64(a.HeldMinor)).word(uint64(a.IncomingMinor)))
}

// digestOfLine is no part of the state hash: lines follow from entries.
func digestOfLine(account string, l line) uint64 {
	return uint64(digest(digestSeed).word(keyLine).text(account).word(l.seq).word(uint64(l.reachedNanos)))
}

func digestOfHold(h *hold) uint64 {
	d := digest(digestSeed).word(keyHold).id(h.id).id(h.fingerprint).text(h.reference)
	d = d.word(uint64(h.preparedNanos)).word(h.index).word(uint64(h.ordinal)).word(uint64(len(h.legs)))
	for i := range h.legs {
		d = d.word(uint64(h.legs[i].account.name)).word(uint64(h.legs[i].amountMinor))
	}
	if h.untilNanos != 0 { // what is no client's hold has kept its digest
		d = d.word(uint64(h.untilNanos))
	}
	return uint64(d)
}

func digestOfFinished(f *finished) uint64 {
	d := digest(digestSeed).word(keyFinished).id(f.id).word(uint64(f.state)).word(f.index)
	return uint64(d.bool(f.prepared).id(f.fingerprint).text(string(f.code())))
}

func digestOfEntry(seq uint64, name digest, p *posting) uint64 {
	d := name.word(keyEntry).word(seq).id(p.transfer).word(uint64(p.amountMinor)).word(uint64(p.balanceMinor))
	return uint64(d.word(uint64(p.nanos)).text(p.reference))
}

// digestOfListed is the digest of a journal entry as it is read back.
func digestOfListed(e *bank.Entry) uint64 {
	return digestOfEntry(e.Seq, nameDigest(e.Account, e.Currency), &posting{
		transfer: e.Transfer, amountMinor: e.AmountMinor, balanceMinor: e.BalanceMinor, nanos: e.At.UnixNano(), reference: e.Reference,
	})
}
