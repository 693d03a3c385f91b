package client

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/quorate/quorate/pki"
)

// WithTLS secures the connections with PEM files: the authority that the nodes' certificates are of, and the client's own
// certificate and key. The authority is read once; an own certificate that is replaced is used by the next connection, and that begins at the latest
// when a node refuses the old one.
func WithTLS(ca, cert, key string) Option {
	return func(s *settings) {
		keys, err := pki.Load(pki.Files{CA: ca, Cert: cert, Key: key}, nil)
		if err != nil {
			s.err = err
			return
		}
		s.credentials = Credentials(keys)
	}
}

// Credentials secure a gRPC connection to a node as WithTLS does.
func Credentials(keys *pki.Keys) credentials.TransportCredentials {
	return &attentive{credentials.NewTLS(keys.Client()), &proofs{keys: keys, shown: map[*heardConn]time.Time{}}}
}

// attentive are credentials that hear a refusal. In TLS 1.3 a client is done before the server has looked at its certificate: what it
// then writes to a server that has closed the connection tells it "broken pipe", and never why.
type attentive struct {
	credentials.TransportCredentials
	proofs *proofs // of all connections
}

// proofs remember with which certificate each connection was made: a node goes by that for as long as the connection stands.
type proofs struct {
	keys *pki.Keys

	mu      sync.Mutex               // guards all below
	shown   map[*heardConn]time.Time // when the certificate of a connection ends
	renewed time.Time                // when connections were last closed for another certificate
}

func (p *proofs) keep(c *heardConn, ends time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown[c] = ends
}

func (p *proofs) forget(c *heardConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shown, c)
}

// renew closes the connections whose certificate isn't the one that is in the file now, and says whether that has happened since a moment. gRPC makes
// others. What is under way on them is asked again, with the same id.
func (p *proofs) renew(since time.Time) bool {
	ends := p.keys.Expiries().Own
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, shown := range p.shown {
		if !shown.Equal(ends) {
			delete(p.shown, c)
			_ = c.raw.Close() // TLS would wait until it has said so
			p.renewed = time.Now()
		}
	}
	return p.renewed.After(since)
}

// renewed says of a call that began at a moment and was refused that connections have been made anew since then, for another certificate.
func (c *Client) renewed(since time.Time) bool { return c.proofs != nil && c.proofs.renew(since) }

// refusalWait is how long a server that says nothing at first is listened to. One of ours speaks first.
const refusalWait = 300 * time.Millisecond

// ClientHandshake waits for the server's first byte, or its refusal.
func (a *attentive) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ends := a.proofs.keys.Expiries().Own // first: an older one than is shown is renewed in vain, a newer one never
	conn, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return conn, info, err
	}
	heard := &heardConn{Conn: conn, raw: raw, proofs: a.proofs}
	err = errors.Join(conn.SetReadDeadline(time.Now().Add(refusalWait)))
	if err == nil {
		heard.has, err = conn.Read(heard.first[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close() // the error before says more
		return nil, nil, err
	}
	a.proofs.keep(heard, ends)
	return heard, info, nil
}

// Clone is what gRPC makes of credentials before it uses them.
func (a *attentive) Clone() credentials.TransportCredentials {
	return &attentive{a.TransportCredentials.Clone(), a.proofs}
}

// heardConn gives the byte that was heard before what comes after it.
type heardConn struct {
	net.Conn
	raw    net.Conn // below it
	proofs *proofs
	first  [1]byte
	has    int
}

// Close ends the connection.
func (c *heardConn) Close() error {
	c.proofs.forget(c)
	return c.Conn.Close()
}

func (c *heardConn) Read(into []byte) (int, error) {
	if c.has == 0 || len(into) == 0 {
		return c.Conn.Read(into)
	}
	c.has = 0
	into[0] = c.first[0]
	return 1, nil
}

// refusedAtTheDoor says of the error of a connection that one side wouldn't have the other: it won't get better by asking again.
func refusedAtTheDoor(message string) bool {
	return strings.Contains(message, "authentication handshake failed: tls:") || strings.Contains(message, "authentication handshake failed: remote error: tls:") ||
		strings.Contains(message, "x509: ")
}
