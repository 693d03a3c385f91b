package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

func newCluster() *cobra.Command {
	member := newGroup("member", "List, add, promote and remove nodes", newMemberList(), newMemberAdd(), newMemberPromote(), newMemberRemove())
	return newGroup("cluster", "Change a cluster while it runs, and check it", member, newTransferLeader(), newPlaceBank(), newClusterVerify())
}

func newMemberList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List every node that there ever was",
		Example: "  quorate cluster member list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withMembers(cmd, func(*caller) error { return nil })
		},
	}
}

func newMemberAdd() *cobra.Command {
	var peer, grpcAddress, http string
	cmd := &cobra.Command{
		Use:   "add NODE --peer HOST:PORT --grpc HOST:PORT --http HOST:PORT",
		Short: "Let a node in, as a learner",
		Long: `Let a node in, as a learner: it gets the data of its groups and counts in none. Its id must never have been used. Start the node after that, with an empty
data directory and the same file as the others, but for its own node, data, tls and join.`,
		Example: "  quorate cluster member add 4 --peer 10.0.0.4:7101 --grpc 10.0.0.4:7001 --http 10.0.0.4:7201",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNodeID(args[0])
			if err != nil {
				return err
			}
			if peer == "" || grpcAddress == "" || http == "" {
				return usagef("a node needs all of its addresses. try: %s", cmd.Example[2:])
			}
			return withMembers(cmd, func(c *caller) error { return c.AddMember(c.ctx, id, peer, grpcAddress, http) })
		},
	}
	cmd.Flags().StringVar(&peer, "peer", "", "where it listens for other nodes, as host:port")
	cmd.Flags().StringVar(&grpcAddress, "grpc", "", "where it listens for clients that speak gRPC")
	cmd.Flags().StringVar(&http, "http", "", "where it listens for clients that speak HTTP")
	return cmd
}

func newMemberPromote() *cobra.Command {
	return &cobra.Command{
		Use:     "promote NODE",
		Short:   "Let a learner vote that has caught up",
		Example: "  quorate cluster member promote 4",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNodeID(args[0])
			if err != nil {
				return err
			}
			return withMembers(cmd, func(c *caller) error { return c.PromoteMember(c.ctx, id) })
		},
	}
}

func newMemberRemove() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove NODE --yes",
		Short: "Take a node out of all its groups, for ever",
		Long: `Take a node, dead or alive, out of all its groups, for ever: its id is never used again. Its replicas of banks go to other members. The command returns when
that is accepted; the list says leaving until it is done, and removed then. Standard error says how many more nodes the cluster can lose after that.`,
		Example: "  quorate cluster member remove 1 --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNodeID(args[0])
			if err != nil {
				return err
			}
			if !yes {
				return usagef("node %d would be out for ever. try: quorate cluster member remove %d --yes", id, id)
			}
			return withMembers(cmd, func(c *caller) error {
				if err := c.RemoveMember(c.ctx, id); err != nil {
					return err
				}
				members, err := c.Members(c.ctx)
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "once node %d is out, %s\n", id, spareText(members))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "yes, for ever")
	return cmd
}

// spareText says how many more nodes may be lost. Those that don't answer are lost already, and one that leaves doesn't count.
func spareText(members []client.Member) string {
	voters, alive := map[string]int{}, map[string]int{}
	for i := range members {
		for _, group := range members[i].Groups {
			if members[i].Role != "member" {
				continue
			}
			if voters[group]++; members[i].Alive {
				alive[group]++
			}
		}
	}
	spare, first := len(members), ""
	for _, group := range slices.Sorted(maps.Keys(voters)) {
		if left := alive[group] - (voters[group]/2 + 1); left < spare {
			spare, first = left, group
		}
	}
	switch {
	case spare <= 0:
		return "no other may be lost: " + first + " would have no majority"
	case spare == 1:
		return "one more may be lost"
	}
	return fmt.Sprintf("%d more may be lost", spare)
}

func newTransferLeader() *cobra.Command {
	return &cobra.Command{
		Use:     "transfer-leader GROUP NODE",
		Short:   "Have another voter lead a group",
		Long:    "Have another voter lead a group (coordinator/0, bank/north, cluster). Whoever was handed a group keeps it until the next election.",
		Example: "  quorate cluster transfer-leader coordinator/0 2",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNodeID(args[1])
			if err != nil {
				return err
			}
			return withMembers(cmd, func(c *caller) error { return c.TransferLeader(c.ctx, args[0], id) })
		},
	}
}

func newPlaceBank() *cobra.Command {
	return &cobra.Command{
		Use:   "place-bank BANK NODE...",
		Short: "Move a bank's replicas to other members",
		Long: `Move a bank's replicas to other members: one, or several of which a majority must be up. The bank goes on meanwhile. A node that gives a replica away
never gets one of that bank again.`,
		Example: "  quorate cluster place-bank north 2 3 4",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := transfer.ValidateName(args[0]); err != nil {
				return err
			}
			var nodes []uint64
			for _, arg := range args[1:] {
				id, err := parseNodeID(arg)
				if err != nil {
					return err
				}
				nodes = append(nodes, id)
			}
			return withMembers(cmd, func(c *caller) error { return c.PlaceBank(c.ctx, transfer.BankID(args[0]), nodes...) })
		},
	}
}

func parseNodeID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 {
		return 0, usagef("%q is no node: nodes are numbers from 1 on. try: quorate cluster member list", text)
	}
	return id, nil
}

// withMembers has something done and prints the members as they are then.
func withMembers(cmd *cobra.Command, do func(*caller) error) error {
	return withCluster(cmd, func(p *printer, c *caller) error {
		if err := do(c); err != nil {
			return err
		}
		members, err := c.Members(c.ctx)
		if err != nil {
			return err
		}
		var objects []memberJSON
		for _, m := range members {
			objects = append(objects, memberJSON{m.Node, m.Role, m.Alive, m.Behind, m.Peer, m.GRPC, m.HTTP, append([]string{}, m.Groups...)})
		}
		return printList(p, objects, func(m memberJSON) string { return strconv.FormatUint(m.Node, 10) }, memberTable(members))
	})
}

// memberJSON is the object of the HTTP API.
type memberJSON struct {
	Node   uint64   `json:"node"`
	Role   string   `json:"role"`
	Alive  bool     `json:"alive"`
	Behind uint64   `json:"behind"`
	Peer   string   `json:"peer"`
	GRPC   string   `json:"grpc"`
	HTTP   string   `json:"http"`
	Groups []string `json:"groups"`
}

func memberTable(members []client.Member) table {
	t := table{header: []string{"NODE", "ROLE", "ALIVE", "BEHIND", "PEER", "GRPC", "HTTP", "GROUPS"}}
	for i := range members {
		m := &members[i]
		alive := "yes"
		if !m.Alive {
			alive = "no"
		}
		t.rows = append(t.rows, []string{
			fmt.Sprint(m.Node), m.Role, alive, fmt.Sprint(m.Behind), m.Peer, m.GRPC, m.HTTP, someOf(m.Groups),
		})
	}
	return t
}
