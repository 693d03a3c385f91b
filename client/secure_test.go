package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/pki"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// certified is a node that knows the certificates which end late enough.
type certified struct {
	*fakeNode
	dir       string
	authority *pki.Authority
	notBefore atomic.Int64 // Unix time
}

func startCertified(t *testing.T) *certified {
	c := &certified{dir: t.TempDir()}
	pair, err := pki.NewAuthority(time.Now(), 100*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := pair.Write(c.dir, "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	if c.authority, err = pki.LoadAuthority(cert, key); err != nil {
		t.Fatal(err)
	}
	if pair, err = c.authority.NewNode(1, []string{"127.0.0.1"}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if cert, key, err = pair.Write(c.dir, "node1", false); err != nil {
		t.Fatal(err)
	}
	keys, err := pki.Load(pki.Files{CA: filepath.Join(c.dir, "ca.pem"), Cert: cert, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.fakeNode = startNode(t, grpc.Creds(credentials.NewTLS(keys.Server("h2"))), grpc.UnaryInterceptor(
		func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if !c.knows(ctx) {
				return nil, statusOf(codes.Unauthenticated, transfer.ErrUnauthenticated)
			}
			return handle(ctx, r)
		}))
	c.does(func(_ int, ctx context.Context, specs []*quoratev1.TransferSpec) ([]*quoratev1.TransferResult, error) {
		if !c.knows(ctx) {
			return all(specs, refuse(transfer.ErrUnauthenticated)), nil
		}
		return all(specs, commit), nil
	})
	return c
}

func (c *certified) knows(ctx context.Context) bool {
	p, _ := peer.FromContext(ctx)
	return p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].NotAfter.Unix() >= c.notBefore.Load()
}

// write makes the client's certificate, or another one in its place.
func (c *certified) write(t *testing.T, lifetime time.Duration) (cert, key string) {
	t.Helper()
	pair, err := c.authority.NewClient(pki.Identity{Client: "payroll", Roles: []string{"submit"}}, time.Now(), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	if cert, key, err = pair.Write(c.dir, "payroll", true); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// A certificate is replaced before it ends, and the connections are older than that: they are made anew once a node refuses them.
func TestACertificateIsReplacedUnderItsConnections(t *testing.T) {
	n := startCertified(t)
	cert, key := n.write(t, time.Hour)
	c, err := client.Dial([]string{n.address}, client.WithTLS(filepath.Join(n.dir, "ca.pem"), cert, key))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	calls := map[string]func() error{
		"transfer": func() error { _, err := c.Transfer(ctx, rent(client.NewID())); return err },
		"batch":    func() error { return c.Transfers(ctx, []transfer.Transfer{rent(client.NewID())})[0].Err },
		"account":  func() error { _, err := c.Account(ctx, "HOME", "alice"); return err },
	}
	lifetime := time.Hour
	for first := range calls {
		if err := calls[first](); err != nil {
			t.Fatalf("%s with the certificate of %v: %v", first, lifetime, err)
		}
		lifetime += 2 * time.Hour
		n.write(t, lifetime)
		n.notBefore.Store(time.Now().Add(lifetime - time.Hour).Unix())
		var group sync.WaitGroup
		for range 20 { // who finds that the connection has been closed already asks again, too
			group.Go(func() {
				if err := calls[first](); err != nil {
					t.Errorf("%s with the certificate of %v: %v", first, lifetime, err)
				}
			})
		}
		group.Wait()
	}
	n.notBefore.Store(time.Now().Add(lifetime + time.Hour).Unix())
	for name, call := range calls {
		if err := call(); !errors.Is(err, transfer.ErrUnauthenticated) || unknownID(err) != "" {
			t.Errorf("%s with a certificate that nobody replaced: %v", name, err)
		}
	}
}
