package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/backup"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/membership"
)

func newBackup() *cobra.Command {
	return newGroup("backup", "Save a whole cluster, and restore it", newBackupCreate(), newBackupVerify(), newBackupRestore())
}

// backupTimeout is how long the cluster may take to agree on a cut if nobody says otherwise. Reading it takes as long as it takes.
const backupTimeout = 30 * time.Second

func newBackupCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create DIR",
		Short: "Save a running cluster",
		Long: `Save all groups of a running cluster, as of one moment, into a new directory. Everything that was acknowledged before is in
it. Transfers go on meanwhile. --server must name every node, for each group is read from the node that leads it.
--timeout is for the moment of the cut, 30s if it isn't given; reading takes as long as it takes. What is interrupted leaves no backup.`,
		Example: `  quorate backup create monday --server 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003`,
		Args:    cobra.ExactArgs(1),
		RunE:    runBackupCreate,
	}
}

func runBackupCreate(cmd *cobra.Command, args []string) (err error) {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	servers, timeout, secure, err := wayTo(cmd, backupTimeout)
	if err != nil {
		return err
	}
	w, err := backup.Create(args[0])
	if err != nil {
		return refusedBackup(err)
	}
	finished := false
	defer func() {
		if !finished {
			err = errors.Join(err, w.Abandon())
		}
	}()
	b, err := dialAll(servers, secure)
	if err != nil {
		return misconfigured(err)
	}
	defer b.hangUp()
	m := backup.Manifest{Version: buildVersion(), CreatedAt: time.Now().UTC().Format(time.RFC3339)}
	c, err := b.cutWithin(cmd.Context(), timeout)
	if err != nil {
		return err
	}
	defer c.end()
	m.Cluster, m.Coordinators = c.cluster, c.coordinators
	if m.Groups, err = c.writeTo(w); err != nil {
		return err
	}
	if err := w.Finish(m); err != nil {
		return err
	}
	finished = true
	return printBackup(p, args[0])
}

func newBackupVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Check every byte of a backup",
		Long: `Read a backup from end to end and check every checksum. No cluster is needed. A damaged one is named with its file, and the
exit code is 9.`,
		Example: `  quorate backup verify monday`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			if _, err := backup.Verify(args[0]); err != nil {
				return refusedBackup(err)
			}
			return printBackup(p, args[0])
		},
	}
}

func newBackupRestore() *cobra.Command {
	restore := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a node's data directory from a backup",
		Long: `Make the data directory of one node of a new cluster. The configuration says which cluster, which node and which directory; the
cluster must have another name than the one that was saved, so that the nodes of the two never talk, the same number of coordinator
groups, and every bank. Restore every node from the same backup before you start the first. What was in flight is then settled
or aborted by itself.`,
		Example: `  quorate backup restore monday --config new/node1.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE:    runBackupRestore,
	}
	restore.Flags().String("config", "", "configuration file of the node (required)")
	_ = restore.MarkFlagRequired("config") // fails for unknown flags only
	return restore
}

func runBackupRestore(cmd *cobra.Command, args []string) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return err
	}
	config, err := loadConfig(path)
	if err != nil {
		return err
	}
	if _, err := backup.Restore(args[0], restoreTarget(&config)); err != nil {
		return refusedBackup(err)
	}
	if p.quiet {
		return p.line(config.DataDir)
	}
	return printBackup(p, args[0])
}

// restoreTarget is a node as its configuration says it.
func restoreTarget(config *node.Config) backup.Target {
	t := backup.Target{
		Dir:      config.DataDir,
		Identity: config.Identity(),
		Members:  map[string][]byte{},
	}
	here := map[string]bool{}
	add := func(id lane.GroupID, nodes []raft.NodeID) {
		first := membership.Of(nodes...)
		t.Members[string(id)] = first.Encode()
		here[string(id)] = slices.Contains(nodes, t.Identity.Node)
	}
	directory := config.Directory()
	for shard, nodes := range directory.Coordinators {
		add(lane.CoordinatorGroup(shard), nodes)
	}
	for _, b := range directory.Banks {
		add(lane.BankGroup(b.Bank), b.Members)
	}
	t.Coordinators = len(directory.Coordinators)
	t.Here = func(group string) bool { return here[group] }
	return t
}

// refusedBackup marks what is wrong with the command, not with the world.
func refusedBackup(err error) error {
	for _, kind := range []error{backup.ErrExists, backup.ErrNewer, backup.ErrNone, backup.ErrMismatch} {
		if errors.Is(err, kind) {
			return misconfigured(err)
		}
	}
	return err
}

// backupJSON is what the backup commands print with -o json.
type backupJSON struct {
	Directory string `json:"directory"`
	*backup.Manifest
}

func printBackup(p *printer, dir string) error {
	m, err := backup.Open(dir)
	if err != nil {
		return err
	}
	groups := table{header: []string{"GROUP", "INDEX", "TERM", "KEYS", "BYTES"}}
	for _, g := range m.Groups {
		groups.rows = append(groups.rows, []string{g.Group, fmt.Sprint(g.Index), fmt.Sprint(g.Term), fmt.Sprint(g.Keys), fmt.Sprint(g.Bytes)})
	}
	return p.one(backupJSON{dir, m}, dir, table{
		header: []string{"DIRECTORY", "CLUSTER", "CREATED", "FORMAT", "VERSION"},
		rows:   [][]string{{dir, m.Cluster, m.CreatedAt, fmt.Sprint(m.Format), m.Version}},
	}, groups)
}
