package main

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/transfer"
)

const (
	promiseOutcome = "an acknowledged outcome never changes"
	promiseKnown   = "what was acknowledged is known through every node"
)

// account is one account of one bank.
type account struct {
	bank transfer.BankID
	id   transfer.AccountID
}

// payment is one transfer and all that anybody was told about it.
type payment struct {
	transfer transfer.Transfer
	begun    int64 // when it was first submitted
	witness  bool  // its accounts are read all the time

	mu      sync.Mutex // guards the rest
	history []porcupine.Operation
	told    transfer.State // the outcome that was acknowledged; zero: none
	first   string         // when and through whom it was told first
	settled int64          // when it was first seen settled; zero: never
}

// outcome is zero while nobody knows.
func (p *payment) outcome() transfer.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// add appends to the history of the id.
func (p *payment) add(ops []porcupine.Operation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history = append(p.history, ops...)
}

// hear takes an outcome down. It is the first one, or a verdict says what is wrong with it.
func (p *payment) hear(state transfer.State, settled bool, now int64, from string) (first bool, verdict string) {
	if state != transfer.Committed && state != transfer.Aborted {
		return false, ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if settled && p.settled == 0 {
		p.settled = now
	}
	if p.told == 0 {
		p.told, p.first = state, from
		return true, ""
	}
	if p.told != state {
		return false, fmt.Sprintf("transfer %s was %s, said %s, and is %s, says %s", p.transfer.ID, p.told, p.first, state, from)
	}
	return false, ""
}

// judgeKnown says what is wrong with the state that a node tells of a payment whose outcome was acknowledged; zero: it doesn't know it.
func judgeKnown(p *payment, state transfer.State, through string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case state == p.told:
		return ""
	case state == 0:
		return fmt.Sprintf("transfer %s was %s, said %s; %s doesn't know it", p.transfer.ID, p.told, p.first, through)
	}
	return fmt.Sprintf("transfer %s was %s, said %s; %s says %s", p.transfer.ID, p.told, p.first, through, state)
}

// summary is what is kept of a payment that was audited, for the reading of the journals at the end of the run.
type summary struct {
	state transfer.State
	legs  legSum
}

// legSum stands for a set of legs: how many, and the sum of their hashes, in which their order doesn't matter.
type legSum struct {
	count uint16
	sum   uint64
}

var legSeed = maphash.MakeSeed()

func (s *legSum) add(a account, minor int64) {
	s.count++
	s.sum += maphash.Comparable(legSeed, struct {
		account
		minor int64
	}{a, minor})
}

func (p *payment) summary() summary {
	s := summary{state: p.outcome()}
	for _, l := range p.transfer.Legs {
		s.legs.add(account{l.Bank, l.Account}, l.SignedMinor())
	}
	return s
}

// span is the time of one call, for the histories.
func span(who int, call, end int64) linear.Span {
	return linear.Span{Client: who, Call: call, Return: end}
}
