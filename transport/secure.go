package transport

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/pki"
	"github.com/quorate/quorate/raft"
)

func listenSecurity(cfg *Config) credentials.TransportCredentials {
	if cfg.Keys == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(cfg.Keys.PeerServer("h2"))
}

// dialSecurity has the connection fail unless the node at its other end proves to be the one that is meant.
func dialSecurity(cfg *Config, id raft.NodeID) credentials.TransportCredentials {
	if cfg.Keys == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(cfg.Keys.Peer(uint64(id)))
}

// prove says why an incoming stream is not from the node that it says it is from. The chain of its certificate is verified already.
func prove(ctx context.Context, cfg *Config, from raft.NodeID) error {
	if cfg.Keys == nil {
		return nil
	}
	p, _ := grpcpeer.FromContext(ctx)
	secure, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(secure.State.PeerCertificates) == 0 {
		return deny("node %d has shown no certificate", from)
	}
	id, err := pki.IdentityOf(secure.State.PeerCertificates[0])
	if err != nil {
		return deny("%v", err)
	}
	if id.Node != uint64(from) {
		return deny("it says it is node %d, and its certificate is %s", from, id)
	}
	return nil
}

func deny(format string, args ...any) error {
	return status.Errorf(codes.Unauthenticated, format, args...)
}
