package client

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/quorate/quorate/pki"
)

// WithTLS secures the connections with PEM files: the authority that the nodes' certificates are of, and the client's own
// certificate and key. The authority is read once; an own certificate that is replaced is used by the next connection.
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
	return &attentive{credentials.NewTLS(keys.Client())}
}

// attentive are credentials that hear a refusal. In TLS 1.3 a client is done before the server has looked at its certificate: what it
// then writes to a server that has closed the connection tells it "broken pipe", and never why.
type attentive struct {
	credentials.TransportCredentials
}

// refusalWait is how long a server that says nothing at first is listened to. One of ours speaks first.
const refusalWait = 300 * time.Millisecond

// ClientHandshake waits for the server's first byte, or its refusal.
func (a *attentive) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return conn, info, err
	}
	heard := &heardConn{Conn: conn}
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
	return heard, info, nil
}

// Clone is what gRPC makes of credentials before it uses them.
func (a *attentive) Clone() credentials.TransportCredentials {
	return &attentive{a.TransportCredentials.Clone()}
}

// heardConn gives the byte that was heard before what comes after it.
type heardConn struct {
	net.Conn
	first [1]byte
	has   int
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
