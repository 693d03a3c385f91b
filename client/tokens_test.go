package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/transfer"
)

// inTheClear shows a token without TLS, as only a test may.
type inTheClear struct{ credentials.PerRPCCredentials }

func (inTheClear) RequireTransportSecurity() bool { return false }

// tokenFile has a client show the token in a file that isn't there yet.
func tokenFile(t *testing.T) (file string, option client.Option) {
	file = filepath.Join(t.TempDir(), "token")
	return file, client.WithToken(inTheClear{client.TokenFile(file)})
}

func writeToken(t *testing.T, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A token file that is away, or empty, for a moment is no fault inside Quorate, and what isn't sent changes nothing.
func TestATokenThatCannotBeReadIsNotSent(t *testing.T) {
	n := startNode(t)
	file, option := tokenFile(t)
	c, err := client.Dial([]string{n.address}, option)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	calls := changes(c)
	calls["transfer"] = func(ctx context.Context) error { _, err := c.Transfer(ctx, rent(client.NewID())); return err }
	calls["batch"] = func(ctx context.Context) error {
		return c.Transfers(ctx, []transfer.Transfer{rent(client.NewID())})[0].Err
	}
	calls["account"] = func(ctx context.Context) error { _, err := c.Account(ctx, "HOME", "alice"); return err }
	for _, says := range []string{"no such file", "holds no token"} {
		for name, call := range calls {
			err := call(ctx)
			if !errors.Is(err, transfer.ErrUnauthenticated) || errors.Is(err, transfer.ErrOutcomeUnknown) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "RPC") {
				t.Errorf("%s: %v, want that it %s", name, err, says)
			}
		}
		writeToken(t, file, "")
	}
	writeToken(t, file, "qt_secret")
	if _, err := c.Transfer(ctx, rent(client.NewID())); err != nil {
		t.Errorf("once it is there: %v", err)
	}
}
