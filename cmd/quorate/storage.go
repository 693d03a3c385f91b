package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/storage"
)

func newStorage() *cobra.Command {
	return newGroup("storage", "Look into data directories", newStorageInspect())
}

func newStorageInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect DIR",
		Short: "Describe the data directory of a node that isn't running",
		Long: `Read a data directory from end to end, changing nothing in it: whose it is, and what is stored of each group. Every
checksum and the order of every log is checked. Damage is shown group by group, and the exit code is 9.`,
		Example: `  quorate storage inspect local/node1-data
  quorate storage inspect local/node1-data -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			d, err := storage.Inspect(args[0], storage.Options{})
			if refusedDirectory(err) != nil {
				return misconfigured(err)
			}
			if err != nil {
				return err
			}
			if err := p.one(directoryToJSON(args[0], &d), args[0], directoryTables(args[0], &d)...); err != nil {
				return err
			}
			return damageOf(&d)
		},
	}
}

// directoryJSON is what `storage inspect -o json` prints.
type directoryJSON struct {
	Directory string            `json:"directory"`
	Cluster   string            `json:"cluster"`
	Node      uint64            `json:"node"`
	DiskBytes uint64            `json:"disk_bytes"`
	Groups    []storedGroupJSON `json:"groups"`
}

// storedGroupJSON is what is stored of one group. With an empty log, first is last + 1.
type storedGroupJSON struct {
	Group      string `json:"group"`
	Term       uint64 `json:"term"`
	Vote       uint64 `json:"vote"`
	Commit     uint64 `json:"commit"`
	Applied    uint64 `json:"applied"`
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	LogBytes   uint64 `json:"log_bytes"`
	StateKeys  uint64 `json:"state_keys"`
	StateBytes uint64 `json:"state_bytes"`
	Damage     string `json:"damage,omitempty"`
}

func directoryToJSON(dir string, d *storage.Description) directoryJSON {
	j := directoryJSON{Directory: dir, Cluster: d.Identity.Cluster, Node: uint64(d.Identity.Node), DiskBytes: d.DiskBytes, Groups: []storedGroupJSON{}}
	for i := range d.Groups {
		g := &d.Groups[i]
		s := storedGroupJSON{
			Group: g.Name, Term: uint64(g.HardState.Term), Vote: uint64(g.HardState.Vote), Commit: uint64(g.HardState.Commit),
			Applied: uint64(g.Applied), First: uint64(g.First), Last: uint64(g.Last.Index), LogBytes: g.LogBytes,
			StateKeys: g.StateKeys, StateBytes: g.StateBytes,
		}
		if g.Damage != nil {
			s.Damage = g.Damage.Error()
		}
		j.Groups = append(j.Groups, s)
	}
	return j
}

func directoryTables(dir string, d *storage.Description) []table {
	groups := table{header: []string{"GROUP", "TERM", "VOTE", "COMMIT", "APPLIED", "FIRST", "LAST", "LOG BYTES", "STATE KEYS", "STATE BYTES", "DAMAGE"}}
	for _, g := range directoryToJSON(dir, d).Groups {
		groups.rows = append(groups.rows, []string{
			g.Group, fmt.Sprint(g.Term), fmt.Sprint(g.Vote), fmt.Sprint(g.Commit), fmt.Sprint(g.Applied), fmt.Sprint(g.First), fmt.Sprint(g.Last),
			fmt.Sprint(g.LogBytes), fmt.Sprint(g.StateKeys), fmt.Sprint(g.StateBytes), orDash(g.Damage),
		})
	}
	return []table{{
		header: []string{"DIRECTORY", "CLUSTER", "NODE", "DISK BYTES"},
		rows:   [][]string{{dir, d.Identity.Cluster, fmt.Sprint(d.Identity.Node), fmt.Sprint(d.DiskBytes)}},
	}, groups}
}

// damageOf is an error if any group is damaged; the table has said what of which.
func damageOf(d *storage.Description) error {
	var first error
	damaged := 0
	for i := range d.Groups {
		if err := d.Groups[i].Damage; err != nil {
			damaged++
			first = cmp.Or(first, err)
		}
	}
	if damaged == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d groups are damaged, the first: %w", damaged, len(d.Groups), first)
}
