package api_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/transfer"
)

// TestTheSDKProvesWhoAsks: a program with a certificate, as docs/security.md has it, makes a token, and another one shows it, from a file that is replaced.
func TestTheSDKProvesWhoAsks(t *testing.T) {
	g := openGuarded(t, nil)
	path := func(name string) string { return filepath.Join(g.dir, name) }
	dial := func(options ...client.Option) *client.Client {
		c, err := client.Dial([]string{g.grpcAt}, options...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	pair, err := g.authority.NewClient(pki.Identity{Client: "root", Roles: []string{"admin"}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := pair.Write(g.dir, "root", true)
	if err != nil {
		t.Fatal(err)
	}
	root := dial(client.WithTLS(path("ca.pem"), certFile, keyFile))
	_, secret, err := root.CreateToken(ctx, client.Token{Name: "payroll", Roles: []string{"read"}, Banks: []string{"HOME"}, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path("token"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	payroll := dial(client.WithTLS(path("ca.pem"), "", ""), client.WithTokenFile(path("token")))
	if _, err := payroll.Account(ctx, "HOME", "alice"); err != nil {
		t.Errorf("with a token: %v", err)
	}
	if _, err := payroll.Account(ctx, "CITY", "alice"); !errors.Is(err, transfer.ErrForbidden) {
		t.Errorf("another bank: %v", err)
	}
	if err := os.WriteFile(path("token"), []byte("qt_nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := payroll.Account(ctx, "HOME", "alice"); !errors.Is(err, transfer.ErrUnauthenticated) {
		t.Errorf("another token in the file: %v", err)
	}
	if _, err := client.Dial([]string{g.grpcAt}, client.WithTLS(path("nowhere.pem"), "", "")); err == nil || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Errorf("an authority that isn't there: %v", err)
	}
}
