package lane

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// GroupID names a Raft group of the cluster: "coordinator/0", "bank/HOME".
type GroupID string

// CoordinatorGroup names the group of a coordinator shard, counted from zero.
func CoordinatorGroup(shard int) GroupID { return GroupID(fmt.Sprintf("coordinator/%d", shard)) }

// BankGroup names the group of a bank.
func BankGroup(bank transfer.BankID) GroupID { return GroupID("bank/" + bank) }

// BankOf is the bank that a group is; "" if it is none.
func BankOf(id GroupID) transfer.BankID {
	bank, ok := strings.CutPrefix(string(id), "bank/")
	if !ok {
		return ""
	}
	return transfer.BankID(bank)
}

// Directory says which groups the cluster has and where their replicas live. It is the same on every node.
type Directory struct {
	Coordinators [][]raft.NodeID // members of each shard
	Banks        []BankPlace     // sorted by id
}

// BankPlace says which nodes hold a bank's replicas.
type BankPlace struct {
	Bank    transfer.BankID
	Members []raft.NodeID
}

// Validate checks that there is something to do and that every group has distinct members.
func (d *Directory) Validate() error {
	if len(d.Coordinators) == 0 {
		return fmt.Errorf("the cluster has no coordinator group")
	}
	for i, members := range d.Coordinators {
		if err := validMembers(members); err != nil {
			return fmt.Errorf("coordinator %d: %w", i, err)
		}
	}
	for i, b := range d.Banks {
		if err := transfer.ValidateName(string(b.Bank)); err != nil {
			return fmt.Errorf("bank %d: %w", i+1, err)
		}
		if i > 0 && d.Banks[i-1].Bank >= b.Bank {
			return fmt.Errorf("bank %s is named twice or out of order", b.Bank)
		}
		if err := validMembers(b.Members); err != nil {
			return fmt.Errorf("bank %s: %w", b.Bank, err)
		}
	}
	return nil
}

func validMembers(members []raft.NodeID) error {
	if len(members) == 0 {
		return fmt.Errorf("no node holds it")
	}
	for i, m := range members {
		if m == 0 || slices.Contains(members[:i], m) {
			return fmt.Errorf("node %d is zero or named twice", m)
		}
	}
	return nil
}

// members lists where a group's replicas live; nil if there is no such group.
func (d *Directory) members(id GroupID) []raft.NodeID {
	for shard, members := range d.Coordinators {
		if CoordinatorGroup(shard) == id {
			return members
		}
	}
	bank := BankOf(id)
	for _, b := range d.Banks {
		if b.Bank == bank {
			return b.Members
		}
	}
	return nil
}
