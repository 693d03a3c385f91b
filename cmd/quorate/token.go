package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
)

// tokenDays is how long a token is good for if nobody says otherwise.
const tokenDays = 90

func newToken() *cobra.Command {
	return newGroup("token", "Make and end the API tokens that clients without a certificate prove themselves with", newTokenCreate(), newTokenList(), newTokenRevoke())
}

// tokenJSON is the object of the HTTP API.
type tokenJSON struct {
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
	Banks   []string `json:"banks"`
	Created string   `json:"created_at"`
	Expires *string  `json:"expires_at"`
}

func jsonOfToken(t *client.Token) tokenJSON {
	j := tokenJSON{Name: t.Name, Roles: append([]string{}, t.Roles...), Banks: append([]string{}, t.Banks...), Created: timeText(t.Created)}
	if !t.Expires.IsZero() {
		text := timeText(t.Expires)
		j.Expires = &text
	}
	return j
}

func newTokenCreate() *cobra.Command {
	var roles, banks []string
	var days int
	var out string
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a token, and show its secret once",
		Long: `Make a token. Its secret is printed, or written to a new file that only its owner reads, and is nowhere else: the cluster keeps a hash. Whoever has the
secret may do what the roles say, until the token ends or is revoked. Servers take tokens over TLS only.`,
		Example: `  quorate token create payroll --role submit --bank north --out payroll.token
  quorate status --token-file payroll.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGrants(args[0], roles, banks); err != nil {
				return err
			}
			if days < 0 || days > daysMax {
				return usagef("--days %d: it must be 0 to %d; 0: it never ends", days, daysMax)
			}
			t := client.Token{Name: args[0], Roles: roles, Banks: banks}
			if days > 0 {
				t.Expires = time.Now().Add(time.Duration(days) * 24 * time.Hour)
			}
			return withCluster(cmd, func(p *printer, c *caller) error { return createToken(p, c, t, out) })
		},
	}
	addGrantFlags(cmd, &roles, &banks)
	cmd.Flags().IntVar(&days, "days", tokenDays, "how many days it is good for; 0: it never ends")
	cmd.Flags().StringVar(&out, "out", "", "write the secret into this new file instead of printing it")
	return cmd
}

// createToken opens the file first: a secret that can't be kept must not be made.
func createToken(p *printer, c *caller, t client.Token, out string) error {
	if err := knownBanks(c.ctx, c.Client, t.Banks...); err != nil {
		return err
	}
	var file *os.File
	var err error
	if out != "" {
		if file, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return misconfigured(fmt.Errorf("--out: %w", err))
		}
		defer file.Close() // again, if all went well
	}
	made, secret, err := c.CreateToken(c.ctx, t)
	if err != nil {
		if file != nil {
			_ = os.Remove(out) // it is empty
		}
		return err
	}
	j := jsonOfToken(&made)
	if file == nil {
		object := struct {
			Token  tokenJSON `json:"token"`
			Secret string    `json:"secret"`
		}{j, secret}
		return p.one(object, secret, tokenTable([]tokenJSON{j}), table{header: []string{"SECRET (shown once)"}, rows: [][]string{{secret}}})
	}
	_, err = fmt.Fprintln(file, secret)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return &adviceError{fmt.Errorf("write the secret: %w", err), "quorate token revoke " + t.Name + ", and create it again"}
	}
	return p.one(j, j.Name, tokenTable([]tokenJSON{j}))
}

func newTokenList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tokens, those that have ended, too",
		Example: "  quorate token list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTokens(cmd, func(*caller) error { return nil })
		},
	}
}

func newTokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End a token",
		Long:    "End a token, and print those that are left. A server refuses it as soon as it has heard of that: at once, unless it is cut off from the others.",
		Example: "  quorate token revoke payroll",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTokens(cmd, func(c *caller) error { return c.RevokeToken(c.ctx, args[0]) })
		},
	}
}

// withTokens has something done and prints the tokens as they are then.
func withTokens(cmd *cobra.Command, do func(*caller) error) error {
	return withCluster(cmd, func(p *printer, c *caller) error {
		if err := do(c); err != nil {
			return err
		}
		tokens, err := c.Tokens(c.ctx)
		if err != nil {
			return err
		}
		var objects []tokenJSON
		for i := range tokens {
			objects = append(objects, jsonOfToken(&tokens[i]))
		}
		return printList(p, objects, func(t tokenJSON) string { return t.Name }, tokenTable(objects))
	})
}

func tokenTable(tokens []tokenJSON) table {
	t := table{header: []string{"NAME", "ROLES", "BANKS", "CREATED", "EXPIRES"}}
	for _, j := range tokens {
		expires := "never"
		if j.Expires != nil {
			expires = *j.Expires
		}
		t.rows = append(t.rows, []string{j.Name, strings.Join(j.Roles, " "), orDash(strings.Join(j.Banks, " ")), j.Created, expires})
	}
	return t
}
