package lane

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// GroupID names a Raft group of the cluster: "coordinator/0", "bank/HOME", "cluster".
type GroupID string

// ClusterGroup is the group that keeps the directory. Every node has a replica of it.
const ClusterGroup GroupID = directory.Cluster

// CoordinatorGroup names the group of a coordinator shard, counted from zero.
func CoordinatorGroup(shard int) GroupID { return GroupID(coordinatorPrefix + strconv.Itoa(shard)) }

const (
	coordinatorPrefix = "coordinator/"
	bankPrefix        = "bank/"
)

// BankGroup names the group of a bank.
func BankGroup(bank transfer.BankID) GroupID { return GroupID(bankPrefix + bank) }

// IsCoordinator says whether a group is a coordinator's shard.
func IsCoordinator(id GroupID) bool { return strings.HasPrefix(string(id), coordinatorPrefix) }

// BankOf is the bank that a group is; "" if it is none.
func BankOf(id GroupID) transfer.BankID {
	bank, ok := strings.CutPrefix(string(id), bankPrefix)
	if !ok {
		return ""
	}
	return transfer.BankID(bank)
}

// Directory says which groups the cluster begins with and where their replicas live. It is the same on every node, for ever; where they live
// now is in the machine of the cluster's group.
type Directory struct {
	Nodes        []raft.NodeID   // besides those that hold a group
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

// founding is the directory as its machine begins with it.
func (d *Directory) founding() directory.Founding {
	var f directory.Founding
	for shard, members := range d.Coordinators {
		f.Coordinators = append(f.Coordinators, members...)
		f.Groups = append(f.Groups, directory.Group{ID: string(CoordinatorGroup(shard)), Coordinator: true, Members: members})
	}
	f.Nodes = slices.Concat(d.Nodes, f.Coordinators)
	for _, b := range d.Banks {
		f.Nodes = append(f.Nodes, b.Members...)
		f.Groups = append(f.Groups, directory.Group{ID: string(BankGroup(b.Bank)), Members: b.Members})
	}
	slices.Sort(f.Nodes)
	f.Nodes = slices.Compact(f.Nodes)
	return f
}

// members lists where a group's replicas should live; nil if there is no such group.
func (l *Lane) members(id GroupID) []raft.NodeID {
	if g := l.cluster.machine.Group(string(id)); g != nil {
		return g.Members
	}
	return nil
}
