package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/quorate/quorate/client"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
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
	ctx, c := dialWith(t, []string{n.address}, option)
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

// bouncer lets in who shows its secret.
type bouncer struct {
	mu     sync.Mutex
	secret string
}

func (b *bouncer) wants(secret string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.secret = secret
}

func (b *bouncer) knows(ctx context.Context) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := metadata.ValueFromIncomingContext(ctx, "authorization")
	return len(shown) == 1 && shown[0] == "Bearer "+b.secret
}

// A token is replaced by replacing its file, and the old one then revoked: a stream that began with that one is left for another.
func TestATokenIsReplacedUnderAStream(t *testing.T) {
	for _, refusal := range []*transfer.Error{transfer.ErrUnauthenticated, transfer.ErrForbidden} { // it is revoked, or may do less
		t.Run(string(refusal.Code), func(t *testing.T) { replaceToken(t, refusal) })
	}
}

func replaceToken(t *testing.T, refusal *transfer.Error) {
	n := startNode(t)
	var door bouncer
	n.does(func(_ int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		if !door.knows(ctx) {
			return all(specs, refuse(refusal)), nil
		}
		return all(specs, commit), nil
	})
	file, option := tokenFile(t)
	writeToken(t, file, "first")
	door.wants("first")
	ctx, c := dialWith(t, []string{n.address}, option)
	for _, secret := range []string{"first", "second", "third"} {
		writeToken(t, file, secret)
		door.wants(secret)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if r, err := c.Transfer(ctx, rent(client.NewID())); err != nil || r.State != transfer.Committed {
					t.Errorf("with the %s token: %v, %v", secret, r.State, err)
				}
			})
		}
		group.Wait()
	}
	for open := 2; open > 1 && ctx.Err() == nil; time.Sleep(time.Millisecond) { // those that were left end
		n.set(func(n *fakeNode) { open = n.streams })
	}
	if ctx.Err() != nil {
		t.Error("streams that were left go on")
	}
	door.wants("nobody's")
	for range 2 {
		if _, err := c.Transfer(ctx, rent(client.NewID())); !errors.Is(err, refusal) || unknownID(err) != "" {
			t.Errorf("with a token that was revoked: %v", err)
		}
	}
}
