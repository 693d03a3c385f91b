package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/internal/timerslack"
)

// Defaults of the global flags.
const (
	serverDefault  = "127.0.0.1:7001"
	serverEnv      = "QUORATE_SERVER"
	timeoutDefault = 10 * time.Second
)

func main() {
	root := newRoot()
	if cmd, _, err := root.Find(os.Args[1:]); err == nil && (cmd.Name() == "server" || cmd.Name() == "bench") {
		timerslack.Exec() // before anybody listens for signals: none is lost
	}
	os.Exit(runMain(root, os.Args[1:], os.Stdout, os.Stderr))
}

// runMain runs one command line. The first signal ends the command's context; a second one ends the process, unless the
// command listens itself.
func runMain(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		explain(stderr, cmd, err)
	}
	return exitCode(ctx, err)
}

const rootLong = `Quorate moves money across banks atomically: a transfer commits at all of its banks or at none.

Exit codes:
  0    done
  1    failed
  2    the command line, a configuration or a request can't be right; nothing was changed
  3    not found
  4    refused by a rule, and nothing was changed; or the transfer was aborted: a bank said no, or time was up
  5    it exists with other content, or was ended in another way before
  6    not allowed
  7    nobody could answer, nothing was changed; asking again is safe
  8    the outcome is not known: ask again with the same id
  9    a promise of Quorate itself is broken, or stored data is damaged
  130  interrupted`

// newRoot builds the whole tree of commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "quorate",
		Short: "Atomic transfers across banks",
		Long:  rootLong,
		Example: `  quorate config init --dir local
  quorate server --config local/node1.yaml
  quorate transfer create --from north/alice --to south/bob --amount 10.50 --currency EUR`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          showHelp,
	}
	flags := root.PersistentFlags()
	flags.StringP("output", "o", "table", "format of the data: table, json or jsonl")
	flags.String("server", "", "nodes to ask, as host:port[,host:port…] (default $"+serverEnv+", else the context's, else "+serverDefault+")")
	flags.String("context", "", "the cluster that is remembered under this name (default $"+contextEnv+", else the one in use)")
	flags.String("ca", "", "certificate of the cluster's authority (default $"+caEnv+"); without it connections are plain TCP, to loopback addresses only")
	flags.String("cert", "", "certificate to prove oneself with (default $"+certEnv+")")
	flags.String("token-file", "", "file with an API token, instead of a certificate (default $"+tokenEnv+")")
	flags.String("key", "", "the file of its key (default $"+keyEnv+")")
	flags.Duration("timeout", timeoutDefault, "how long to wait for an answer, if the command doesn't say otherwise")
	flags.Bool("no-headers", false, "tables without their first line")
	flags.BoolP("quiet", "q", false, "print ids only")
	root.AddCommand(
		newDemo(),
		newBench(),
		newSim(),
		newServer(),
		newStatus(),
		newVersion(),
		newTransfer(),
		newAccount(),
		newBank(),
		newConfig(),
		newCluster(),
		newCert(),
		newToken(),
		newContext(),
		newStorage(),
		newBackup(),
	)
	markErrors(root)
	addCompletion(root)
	return root
}

// newGroup is a noun: it does nothing itself.
func newGroup(use, short string, verbs ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{Use: use, Short: short, Args: noSuchCommand, RunE: showHelp}
	group.AddCommand(verbs...)
	return group
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noSuchCommand refuses what is left after the last known command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %s", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return &adviceError{err, cmd.CommandPath() + " " + near[0]}
	}
	return err
}

// serversOf are the addresses that a command asks: the flag, else the environment, else the context, else the default.
func serversOf(cmd *cobra.Command) ([]string, error) {
	list, err := settingOf(cmd, "server", serverEnv)
	if err != nil {
		return nil, err
	}
	if list == "" {
		list = serverDefault
	}
	var servers []string
	for _, address := range strings.Split(list, ",") {
		if address = strings.TrimSpace(address); address == "" {
			return nil, usagef("--server %q has an empty address. try: --server %s", list, serverDefault)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, usagef("--server %q is no address. try: host:7001", address)
		}
		servers = append(servers, address)
	}
	return servers, nil
}

func timeoutOf(cmd *cobra.Command) (time.Duration, error) {
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err == nil && timeout <= 0 {
		return 0, usagef("--timeout %v is not above zero. try: --timeout %v", timeout, timeoutDefault)
	}
	return timeout, err
}
