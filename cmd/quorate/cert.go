package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// How long certificates are good for, in days, if nobody says otherwise.
const (
	authorityDays = 10 * 365
	nodeDays      = 365
	clientDays    = 90
	daysMax       = 20 * 365
)

// localHosts are in the certificate of every node.
var localHosts = []string{"localhost", "127.0.0.1", "::1"}

// authorityName is what the files of an authority are called.
const authorityName = "ca"

func newCert() *cobra.Command {
	return newGroup("cert", "Make the certificates that nodes and clients prove themselves with", newCertCA(), newCertNode(), newCertClient())
}

// certOptions are the flags that all three commands have.
type certOptions struct {
	dir   string
	days  int
	force bool
}

func (o *certOptions) flags(cmd *cobra.Command, days int) {
	cmd.Flags().StringVar(&o.dir, "dir", "certs", "where the files are written, and where the authority's are found")
	cmd.Flags().IntVar(&o.days, "days", days, "how many days it is good for, at most as long as the authority's")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace files that are there already")
}

func (o *certOptions) lifetime() (time.Duration, error) {
	if o.days < 1 || o.days > daysMax {
		return 0, usagef("--days %d: it must be 1 to %d", o.days, daysMax)
	}
	return time.Duration(o.days) * 24 * time.Hour, nil
}

// authority is who signs, and for how long.
func (o *certOptions) authority() (*pki.Authority, time.Duration, error) {
	lifetime, err := o.lifetime()
	if err != nil {
		return nil, 0, err
	}
	a, err := pki.LoadAuthority(filepath.Join(o.dir, authorityName+".pem"), filepath.Join(o.dir, authorityName+".key"))
	if err != nil {
		return nil, 0, &adviceError{misconfigured(fmt.Errorf("the authority: %w", err)), "quorate cert create-ca --dir " + o.dir}
	}
	return a, lifetime, nil
}

// certJSON is a certificate that was made.
type certJSON struct {
	Cert    string `json:"cert"`
	Key     string `json:"key"`
	Expires string `json:"expires_at"`
}

// write puts the files down, prints where they are, and says on stderr what comes next.
func (o *certOptions) write(cmd *cobra.Command, pair pki.Pair, name, next string) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	certFile, keyFile, err := pair.Write(o.dir, name, o.force)
	var exists *pki.ExistsError
	if errors.As(err, &exists) {
		return &adviceError{misconfigured(err), "--force, if it is to be replaced, or another --dir"}
	}
	if err != nil {
		return fmt.Errorf("write the certificate: %w", err)
	}
	j := certJSON{Cert: certFile, Key: keyFile, Expires: timeText(pair.Expires)}
	err = p.one(j, j.Cert, table{header: []string{"CERT", "KEY", "EXPIRES"}, rows: [][]string{{j.Cert, j.Key, j.Expires}}})
	fmt.Fprintln(cmd.ErrOrStderr(), next)
	return err
}

func newCertCA() *cobra.Command {
	var o certOptions
	cmd := &cobra.Command{
		Use:   "create-ca",
		Short: "Make the authority of a cluster",
		Long: `Make the authority of one cluster: its nodes and clients trust whatever it signs. Use another one for every cluster. Its key,
ca.key, signs certificates and nothing else: no server needs it, so keep it where no server is.`,
		Example: "  quorate cert create-ca --dir certs",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lifetime, err := o.lifetime()
			if err != nil {
				return err
			}
			pair, err := pki.NewAuthority(time.Now(), lifetime)
			if err != nil {
				return err
			}
			return o.write(cmd, pair, authorityName, "next: quorate cert create-node 1 --host NAME-OR-ADDRESS --dir "+o.dir+", for every node. Keep "+
				filepath.Join(o.dir, authorityName+".key")+" away from the servers.")
		},
	}
	o.flags(cmd, authorityDays)
	return cmd
}

func newCertNode() *cobra.Command {
	var o certOptions
	var hosts []string
	cmd := &cobra.Command{
		Use:   "create-node ID",
		Short: "Make the certificate of a node",
		Long: `Make the certificate of one node. It names the node's id, which other nodes ask for, and the names and addresses by which
clients reach it. localhost, 127.0.0.1 and ::1 are always among them; without --host it is good for clients on the same machine only.`,
		Example: "  quorate cert create-node 1 --host node1.example.com --host 192.0.2.11 --dir certs",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || id == 0 {
				return usagef("%q is no node id. why: ids are whole numbers from 1", args[0])
			}
			for _, host := range hosts {
				if host == "" || strings.ContainsAny(host, " /:") && !strings.Contains(host, "::") {
					return usagef("--host %q: it must be a name or an address without a port", host)
				}
			}
			authority, lifetime, err := o.authority()
			if err != nil {
				return err
			}
			pair, err := authority.NewNode(id, append(slices.Clone(localHosts), hosts...), time.Now(), lifetime)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("node%d", id)
			next := fmt.Sprintf("next: in the configuration of node %d: tls: { ca: %s.pem, cert: %s.pem, key: %s.key }", id, authorityName, name, name)
			if len(hosts) == 0 {
				next = "clients believe it as localhost only, for no --host was given\n" + next
			}
			return o.write(cmd, pair, name, next)
		},
	}
	o.flags(cmd, nodeDays)
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "name or address by which clients reach the node; say it again for more")
	return cmd
}

func newCertClient() *cobra.Command {
	var o certOptions
	var roles, banks []string
	cmd := &cobra.Command{
		Use:   "create-client NAME",
		Short: "Make the certificate of a client",
		Long: `Make the certificate of a client. What it may do stands in the certificate: submit (submit and cancel transfers, and read them),
read (everything that can be read), operate (what an operator does every day, and read) or admin (everything). With --bank
it may touch only transfers and accounts of these banks. A certificate can't be taken back before it ends: let it be short.`,
		Example: `  quorate cert create-client payroll --role submit --bank north --bank south --dir certs
  quorate cert create-client root --role admin --days 7 --dir certs`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrants(args[0], roles, banks); err != nil {
				return err
			}
			authority, lifetime, err := o.authority()
			if err != nil {
				return err
			}
			pair, err := authority.NewClient(pki.Identity{Client: args[0], Roles: roles, Banks: banks}, time.Now(), lifetime)
			if err != nil {
				return err
			}
			return o.write(cmd, pair, args[0], fmt.Sprintf("next: quorate status --ca %s --cert %s --key %s",
				filepath.Join(o.dir, authorityName+".pem"), filepath.Join(o.dir, args[0]+".pem"), filepath.Join(o.dir, args[0]+".key")))
		},
	}
	o.flags(cmd, clientDays)
	addGrantFlags(cmd, &roles, &banks)
	return cmd
}

// addGrantFlags are the flags of what a credential is to grant.
func addGrantFlags(cmd *cobra.Command, roles, banks *[]string) {
	cmd.Flags().StringArrayVar(roles, "role", nil, "submit, read, operate or admin; say it again for more")
	cmd.Flags().StringArrayVar(banks, "bank", nil, "bind it to this bank; say it again for more")
}

// checkGrants says what is wrong with what a credential is to grant.
func checkGrants(name string, roles, banks []string) error {
	if err := transfer.ValidateName(name); err != nil {
		return usagef("%q is no name. why: it must be 1 to 64 characters of A-Z a-z 0-9 . _ - :", name)
	}
	if strings.HasPrefix(name, ".") || name == authorityName {
		return usagef("%q can't be a client's name: its files would be called like others", name)
	}
	if len(roles) == 0 {
		return usagef("--role is missing. try: --role submit, read, operate or admin")
	}
	if _, err := api.ParseRoles(roles); err != nil {
		return usagef("--role: %v", err)
	}
	for _, b := range banks {
		if err := transfer.ValidateName(b); err != nil {
			return usagef("--bank: %v", err)
		}
	}
	return nil
}
