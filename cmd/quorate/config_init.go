package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// A local cluster's ports: node i listens on each of these plus i.
const (
	grpcPorts = 7000
	peerPorts = 7100
	httpPorts = 7200
)

// Bounds of a cluster that `config init` makes.
const (
	localNodesMax       = 7
	localCoordinatorMax = 5 // nodes with a replica of the coordinator
	localReplicas       = 3 // of a bank
)

const localTemplate = `# Node {{.Node}} of a cluster on this machine. Start it:
#   quorate server --config {{.File}}
# All but "node" and "data" must be the same in the file of every node.

cluster: local       # its name: a node refuses the data directory of another cluster
node: {{.Node}}              # which of the nodes below this one is
data: node{{.Node}}-data     # the directory of this node's data and of nobody else's; a relative one counts from this file

# Where each node listens. peer is for the other nodes, grpc and http are for clients.
nodes:
{{- range .Nodes}}
  - { id: {{.ID}}, peer: "{{.Peer}}", grpc: "{{.GRPC}}", http: "{{.HTTP}}" }
{{- end}}

{{if .TLS -}}
# What this node proves itself with, and the authority that others must be signed by (quorate cert --help). Relative names count from this
# file. The files may be replaced while the node runs.
tls: { ca: ca.pem, cert: node{{.Node}}.pem, key: node{{.Node}}.key }
{{- else -}}
# Plain TCP without credentials: whoever reaches the ports may do everything, so it is for loopback addresses only. Otherwise leave
# this out and name this node's certificate and the authority that signed it (quorate cert --help); relative names count from this file:
# tls: { ca: ca.pem, cert: node{{.Node}}.pem, key: node{{.Node}}.key }
insecure: true
{{- end}}

# How often each client may ask; a transfer in a batch counts as a request, and 0 is no limit. How many connections each of the two ports
# for clients takes; more of them wait. It takes fewer, and says so at its start, if the process may not open enough files (ulimit -n).
limits: { requests_per_second: 0, connections: 4096 }

# The groups that decide the outcome of transfers share the work among them, each led by another node where there are enough. Their number can't be changed later.
coordinators: 1
{{- if .CoordinatorNodes}}

# The nodes that hold a replica of each of these groups; all nodes if this is left out. An odd number is best: a majority must be up.
coordinator_nodes: {{.CoordinatorNodes}}
{{- end}}

# How long a transfer may take until it must be decided: if the client names no time, and the bounds if it does.
transfers: { timeout_default: 10s, timeout_min: 1ms, timeout_max: 1h }

# The built-in banks, and the nodes that hold a replica of each: a bank works while a majority of its nodes is up. "replicas: 3" instead of
# nodes spreads the banks over all nodes.
banks:
{{- range .Banks}}
  - { id: "{{.ID}}", nodes: {{.Nodes}} }
{{- end}}

# What is left out has its usual value:
# consensus: quorate        # or etcd: the same cluster on etcd's Raft core
# log_bytes_max: 67108864   # bytes of log that each group keeps for a member that is away, up to 2^40; one that misses more is sent a snapshot
# join: { peer: "127.0.0.1:7104", grpc: "127.0.0.1:7004", http: "127.0.0.1:7204" }   # where this node listens, if it came later and isn't one of nodes
`

// localFile is one node's configuration, as the template needs it.
type localFile struct {
	File             string
	Node             int
	Nodes            []localNode
	CoordinatorNodes string
	Banks            []localBank
	TLS              bool
}

type localNode struct {
	ID               int
	Peer, GRPC, HTTP string
}

type localBank struct {
	ID    string
	Nodes string
}

func newConfig() *cobra.Command {
	return newGroup("config", "Make and check configuration files", newConfigInit(), newConfigCheck())
}

func newConfigInit() *cobra.Command {
	var nodes int
	var banks []string
	var dir string
	var secure bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write the configuration of a cluster on this machine",
		Example: `  quorate config init --dir local
  quorate config init --dir secure --tls      # with certificates, also for a client that may do everything: root
  quorate config init --nodes 1 --bank home --bank abroad --dir single`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			files, err := planLocal(dir, nodes, banks)
			if err != nil {
				return err
			}
			for i := range files {
				files[i].TLS = secure
			}
			if err := noneThere(localNames(dir, files)); err != nil {
				return err
			}
			if err := writeLocal(dir, files); err != nil {
				return err
			}
			if secure {
				if err := writeCertificates(dir, nodes); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "next: export %s=%s %s=%s %s=%s\n", caEnv, filepath.Join(dir, "ca.pem"),
					certEnv, filepath.Join(dir, localClient+".pem"), keyEnv, filepath.Join(dir, localClient+".key"))
			}
			return printFiles(p, files)
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "how many nodes: 1, 3, 5 or 7")
	cmd.Flags().StringArrayVar(&banks, "bank", []string{"north", "south"}, "name of a bank; say it again for more")
	cmd.Flags().BoolVar(&secure, "tls", false, "make certificates, too, and have the nodes ask for them")
	cmd.Flags().StringVar(&dir, "dir", ".", "where to write the files")
	return cmd
}

// planLocal lays a cluster out. Banks begin at different nodes, so that no node holds them all.
func planLocal(dir string, nodes int, banks []string) ([]localFile, error) {
	if nodes < 1 || nodes > localNodesMax || nodes%2 == 0 {
		return nil, usagef("--nodes %d: a cluster has 1, 3, 5 or 7 nodes. why: a majority must be up", nodes)
	}
	seen := map[string]bool{}
	for _, b := range banks {
		if err := transfer.ValidateName(b); err != nil {
			return nil, fmt.Errorf("--bank: %w", err)
		}
		if seen[b] {
			return nil, usagef("--bank %s is named twice", b)
		}
		seen[b] = true
	}
	var shape localFile
	for id := 1; id <= nodes; id++ {
		at := func(ports int) string { return fmt.Sprintf("127.0.0.1:%d", ports+id) }
		shape.Nodes = append(shape.Nodes, localNode{ID: id, Peer: at(peerPorts), GRPC: at(grpcPorts), HTTP: at(httpPorts)})
	}
	if nodes > localCoordinatorMax {
		shape.CoordinatorNodes = idList(0, localCoordinatorMax, nodes)
	}
	for i, b := range banks {
		shape.Banks = append(shape.Banks, localBank{ID: b, Nodes: idList(i, min(nodes, localReplicas), nodes)})
	}
	files := make([]localFile, nodes)
	for i := range files {
		files[i] = shape
		files[i].Node = i + 1
		files[i].File = filepath.Join(dir, fmt.Sprintf("node%d.yaml", i+1))
	}
	return files, nil
}

// localClient is the client that --tls makes a certificate for.
const localClient = "root"

// writeCertificates makes an authority, a certificate for each node, and one for a client that may do everything.
func writeCertificates(dir string, nodes int) error {
	now, lifetime := time.Now(), func(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }
	pair, err := pki.NewAuthority(now, lifetime(authorityDays))
	if err != nil {
		return err
	}
	certFile, keyFile, err := pair.Write(dir, authorityName, false)
	if err != nil {
		return misconfigured(err)
	}
	authority, err := pki.LoadAuthority(certFile, keyFile)
	if err != nil {
		return err
	}
	write := func(name string, pair pki.Pair, err error) error {
		if err == nil {
			_, _, err = pair.Write(dir, name, false)
		}
		return err
	}
	for id := 1; id <= nodes; id++ {
		pair, err := authority.NewNode(uint64(id), localHosts, now, lifetime(nodeDays))
		if err := write(fmt.Sprintf("node%d", id), pair, err); err != nil {
			return misconfigured(err)
		}
	}
	pair, err = authority.NewClient(pki.Identity{Client: localClient, Roles: []string{"admin"}}, now, lifetime(clientDays))
	return write(localClient, pair, err)
}

// idList writes count ids in a row, beginning after the given one and going round.
func idList(after, count, nodes int) string {
	var ids []string
	for i := range count {
		ids = append(ids, fmt.Sprint((after+i)%nodes+1))
	}
	slices.Sort(ids) // of one digit each
	return "[" + strings.Join(ids, ", ") + "]"
}

// localNames are the names of all files that config init writes.
func localNames(dir string, files []localFile) (names []string) {
	pairs := []string{authorityName, localClient}
	for i := range files {
		names = append(names, files[i].File)
		pairs = append(pairs, fmt.Sprintf("node%d", files[i].Node))
	}
	if !files[0].TLS {
		return names
	}
	for _, pair := range pairs {
		names = append(names, filepath.Join(dir, pair+".pem"), filepath.Join(dir, pair+".key"))
	}
	return names
}

// noneThere wants no file of these names. It is asked before the first one is written: an error leaves nothing behind.
func noneThere(names []string) error {
	for _, name := range names {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return &adviceError{misconfigured(fmt.Errorf("%s is there already; nothing was written", name)), "another --dir"}
		}
	}
	return nil
}

func writeLocal(dir string, files []localFile) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	tmpl, err := template.New("node").Parse(localTemplate)
	if err != nil {
		return err
	}
	for _, f := range files {
		var text strings.Builder
		if err := tmpl.Execute(&text, f); err != nil {
			return err
		}
		if err := os.WriteFile(f.File, []byte(text.String()), 0o644); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	return nil
}

// fileJSON is one configuration file that was written or checked.
type fileJSON struct {
	File    string `json:"file"`
	Cluster string `json:"cluster"`
	Node    uint64 `json:"node"`
	GRPC    string `json:"grpc"`
	HTTP    string `json:"http"`
	Data    string `json:"data"`
	Nodes   int    `json:"nodes"`
	Banks   int    `json:"banks"`
}

// printFiles reads the files back, so that what is printed is what a server will see.
func printFiles(p *printer, files []localFile) error {
	var written []fileJSON
	t := table{header: []string{"FILE", "CLUSTER", "NODE", "GRPC", "HTTP", "DATA"}}
	for _, f := range files {
		j, err := readFile(f.File)
		if err != nil {
			return err
		}
		written = append(written, j)
		t.rows = append(t.rows, []string{j.File, j.Cluster, fmt.Sprint(j.Node), j.GRPC, j.HTTP, j.Data})
	}
	return printList(p, written, func(f fileJSON) string { return f.File }, t)
}

func readFile(path string) (fileJSON, error) {
	c, err := loadConfig(path)
	if err != nil {
		return fileJSON{}, err
	}
	self, err := c.Self()
	return fileJSON{
		File: path, Cluster: c.Cluster, Node: c.Node, GRPC: self.GRPC, HTTP: self.HTTP, Data: c.DataDir,
		Nodes: len(c.Nodes), Banks: len(c.Banks),
	}, err
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a configuration file can be used",
		Long: `Say whether a configuration file can be used, and the certificates that it names: that they are this node's and of its authority. It warns of
those that end soon, and of addresses for clients that the node's certificate doesn't name.`,
		Example: "  quorate config check node1.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			j, err := readFile(args[0])
			if err != nil {
				return err
			}
			if err := checkKeys(cmd, args[0]); err != nil {
				return err
			}
			return p.one(j, j.File, table{
				header: []string{"FILE", "CLUSTER", "NODE", "NODES", "BANKS", "DATA"},
				rows:   [][]string{{j.File, j.Cluster, fmt.Sprint(j.Node), fmt.Sprint(j.Nodes), fmt.Sprint(j.Banks), j.Data}},
			})
		},
	}
}

// checkKeys says whether the certificates of a configuration can be used, and warns of those that end soon.
func checkKeys(cmd *cobra.Command, path string) error {
	config, err := loadConfig(path)
	if err != nil {
		return err
	}
	keys, err := openKeys(&config, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	warnings := append(expiring(keys, time.Now()), unnamed(&config, keys)...)
	if info, err := os.Stat(config.TLS.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		warnings = append(warnings, fmt.Sprintf("everybody on this machine may read %s. try: chmod 600 %s", config.TLS.Key, config.TLS.Key))
	}
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
	}
	return nil
}
