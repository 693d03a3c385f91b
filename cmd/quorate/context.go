package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
)

// A context is a cluster under a name: where its servers are, and how to prove oneself there. The contexts of a user are one file.

const contextEnv = "QUORATE_CONTEXT"

// place is one context. The names of files are absolute.
type place struct {
	Server string `koanf:"server" json:"server"`
	CA     string `koanf:"ca" json:"ca"`
	Cert   string `koanf:"cert" json:"cert"`
	Key    string `koanf:"key" json:"key"`
	Token  string `koanf:"token-file" json:"token_file"`
}

// of is what a context says for a flag.
func (p *place) of(flag string) string {
	switch flag {
	case "server":
		return p.Server
	case "ca":
		return p.CA
	case "cert":
		return p.Cert
	case "key":
		return p.Key
	case "token-file":
		return p.Token
	}
	return ""
}

// contexts is the file.
type contexts struct {
	Current  string           `koanf:"current"`
	Contexts map[string]place `koanf:"contexts"`
}

func contextsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", misconfigured(fmt.Errorf("there is no place for contexts: %w", err))
	}
	return filepath.Join(dir, "quorate", "contexts.yaml"), nil
}

// loadContexts reads the file; without one there are no contexts.
func loadContexts() (all contexts, err error) {
	all.Contexts = map[string]place{}
	file, err := contextsFile()
	if err != nil {
		return all, nil // a user without a home has none
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, misconfigured(fmt.Errorf("can't read the contexts: %w", err))
	}
	k := koanf.New("\x00") // names may have dots
	if err := k.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
		return all, misconfigured(fmt.Errorf("%s: this is no YAML that can be read. why: %s", file, yamlComplaint(err)))
	}
	if err := k.Unmarshal("", &all); err != nil {
		return all, misconfigured(fmt.Errorf("%s: %w", file, err))
	}
	if all.Contexts == nil {
		all.Contexts = map[string]place{}
	}
	return all, nil
}

// save replaces the file as a whole. Nobody else may read it: it says where keys are.
func (c *contexts) save() error {
	file, err := contextsFile()
	if err != nil {
		return err
	}
	entries := map[string]any{}
	for name, p := range c.Contexts {
		entry := map[string]any{}
		for _, flag := range placeFlags {
			if value := p.of(flag); value != "" {
				entry[flag] = value
			}
		}
		entries[name] = entry
	}
	text, err := yaml.Parser().Marshal(map[string]any{"current": c.Current, "contexts": entries})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return misconfigured(err)
	}
	return writeWhole(nil, file, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// placeFlags are the flags that a context may stand for.
var placeFlags = []string{"server", "ca", "cert", "key", "token-file"}

// chosenContext is the context that a command works with; the zero value if it works with none. Who names servers by flag or by environment means
// those and nothing of the current context: no certificate goes to a cluster that it isn't for.
func chosenContext(cmd *cobra.Command) (place, error) {
	name, err := cmd.Flags().GetString("context")
	if err != nil {
		return place{}, err
	}
	if name == "" {
		name = os.Getenv(contextEnv)
	}
	server, err := cmd.Flags().GetString("server")
	if err != nil {
		return place{}, err
	}
	if name == "" && (server != "" || os.Getenv(serverEnv) != "") {
		return place{}, nil
	}
	all, err := loadContexts()
	if err != nil {
		return place{}, err
	}
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return place{}, nil
	}
	p, known := all.Contexts[name]
	if !known {
		return place{}, unknownContext(name)
	}
	return p, nil
}

func unknownContext(name string) error {
	return &adviceError{misconfigured(fmt.Errorf("there is no context %q", name)), "quorate context list"}
}

// settingOf is what a flag says, else its variable in the environment, else the context.
func settingOf(cmd *cobra.Command, flag, env string) (string, error) {
	value, err := cmd.Flags().GetString(flag)
	if err != nil {
		return "", err
	}
	if value == "" {
		value = os.Getenv(env)
	}
	if value != "" {
		return value, nil
	}
	p, err := chosenContext(cmd)
	return p.of(flag), err
}

func newContext() *cobra.Command {
	return newGroup("context", "Remember clusters under names", newContextAdd(), newContextUse(), newContextList(), newContextRemove())
}

func newContextAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME",
		Short: "Remember a cluster under a name, and use it from now on",
		Long: `Remember the values of --server, --ca, --cert, --key and --token-file under a name, in a file of yours (contexts.yaml below your configuration
directory, ~/.config/quorate on Linux), and use them from now on. A name that is there already gets the new values. Names of files become
absolute; the files themselves stay where they are.

What a command takes: a flag, else the environment, else the context; but who names servers by --server or $QUORATE_SERVER doesn't use
the current context at all, only one that --context or $QUORATE_CONTEXT names. A variable that is empty counts as one that isn't set; a flag
that is given and empty is refused.`,
		Example: `  quorate context add prod --server db1:7001,db2:7001,db3:7001 --ca ca.pem --cert me.pem --key me.key
  quorate context add local --server 127.0.0.1:7001`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := placeOfFlags(cmd)
			if err != nil {
				return err
			}
			return changeContexts(cmd, args[0], func(all *contexts) error {
				all.Contexts[args[0]], all.Current = p, args[0]
				return nil
			})
		},
	}
}

func placeOfFlags(cmd *cobra.Command) (p place, err error) {
	for flag, value := range map[string]*string{"server": &p.Server, "ca": &p.CA, "cert": &p.Cert, "key": &p.Key, "token-file": &p.Token} {
		if *value, err = cmd.Flags().GetString(flag); err != nil {
			return p, err
		}
		if flag == "server" || *value == "" {
			continue
		}
		if *value, err = filepath.Abs(*value); err != nil {
			return p, err
		}
		if _, err := os.Stat(*value); err != nil {
			return p, misconfigured(fmt.Errorf("--%s: %w", flag, err))
		}
	}
	if p.Server == "" {
		return p, usagef("a context needs servers. try: --server 127.0.0.1:7001")
	}
	_, err = serversOf(cmd)
	return p, err
}

// changeContexts changes the file, and prints the context that was meant.
func changeContexts(cmd *cobra.Command, name string, change func(*contexts) error) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	if name == "" || printable(name) != name {
		return usagef("%q is no name for a context", name)
	}
	all, err := loadContexts()
	if err != nil {
		return err
	}
	if err := change(&all); err != nil {
		return err
	}
	if err := all.save(); err != nil {
		return err
	}
	return printContexts(p, &all)
}

func newContextUse() *cobra.Command {
	return &cobra.Command{
		Use:     "use NAME",
		Short:   "Use a context from now on",
		Example: "  quorate context use prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(cmd, args[0], func(all *contexts) error {
				if _, known := all.Contexts[args[0]]; !known {
					return unknownContext(args[0])
				}
				all.Current = args[0]
				return nil
			})
		},
	}
}

func newContextRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Forget a context",
		Long:    "Forget a context. The files of certificates that it names stay.",
		Example: "  quorate context remove prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(cmd, args[0], func(all *contexts) error {
				if _, known := all.Contexts[args[0]]; !known {
					return unknownContext(args[0])
				}
				delete(all.Contexts, args[0])
				if all.Current == args[0] {
					all.Current = ""
				}
				return nil
			})
		},
	}
}

func newContextList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the contexts; the one in use has a star",
		Example: "  quorate context list\n  quorate context list -q",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := newPrinter(cmd)
			if err != nil {
				return err
			}
			all, err := loadContexts()
			if err != nil {
				return err
			}
			return printContexts(p, &all)
		},
	}
}

type contextJSON struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	place
}

func printContexts(p *printer, all *contexts) error {
	t := table{header: []string{"", "NAME", "SERVER", "CA", "CERT", "TOKEN-FILE"}}
	var objects []contextJSON
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		c := contextJSON{name, name == all.Current, all.Contexts[name]}
		star := ""
		if c.Current {
			star = "*"
		}
		objects = append(objects, c)
		t.rows = append(t.rows, []string{star, name, c.Server, orDash(c.CA), orDash(c.Cert), orDash(c.Token)})
	}
	return printAll(p, objects, func(c contextJSON) string { return c.Name }, t)
}
