package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/transfer"
)

const scheme = "quorate"

// Identity is who a certificate says its holder is: a node or a client.
type Identity struct {
	Node   uint64   // of a node; zero for a client
	Client string   // of a client; empty for a node
	Roles  []string // of a client
	Banks  []string // that a client is bound to; empty: none in particular
}

// ErrNoIdentity says that a certificate is of the cluster's authority and names neither a node nor a client.
var ErrNoIdentity = errors.New("the certificate names neither a node nor a client of a cluster")

// URI is how a certificate says it.
func (id Identity) URI() *url.URL {
	if id.Node != 0 {
		return &url.URL{Scheme: scheme, Opaque: "node/" + strconv.FormatUint(id.Node, 10)}
	}
	grants := url.Values{}
	if len(id.Roles) > 0 {
		grants["role"] = id.Roles
	}
	if len(id.Banks) > 0 {
		grants["bank"] = id.Banks
	}
	return &url.URL{Scheme: scheme, Opaque: "client/" + url.PathEscape(id.Client), RawQuery: grants.Encode()}
}

// IdentityOf reads who a verified certificate belongs to.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	var found []*url.URL
	for _, uri := range cert.URIs {
		if uri.Scheme == scheme {
			found = append(found, uri)
		}
	}
	if len(found) != 1 {
		return Identity{}, fmt.Errorf("%w: it has %d URIs of ours", ErrNoIdentity, len(found))
	}
	return parseURI(found[0])
}

func parseURI(uri *url.URL) (Identity, error) {
	kind, name, _ := strings.Cut(uri.Opaque, "/")
	switch kind {
	case "node":
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil || n == 0 || uri.RawQuery != "" {
			return Identity{}, fmt.Errorf("%w: %s", ErrNoIdentity, uri)
		}
		return Identity{Node: n}, nil
	case "client":
		name, err := url.PathUnescape(name)
		if err != nil || transfer.ValidateName(name) != nil {
			return Identity{}, fmt.Errorf("%w: %s", ErrNoIdentity, uri)
		}
		grants, err := url.ParseQuery(uri.RawQuery)
		if err != nil {
			return Identity{}, fmt.Errorf("%w: %s", ErrNoIdentity, uri)
		}
		for key := range grants {
			if key != "role" && key != "bank" { // of a newer version: it may mean "only if …"
				return Identity{}, fmt.Errorf("%w: %q is unknown in %s", ErrNoIdentity, key, uri)
			}
		}
		return Identity{Client: name, Roles: slices.Clone(grants["role"]), Banks: slices.Clone(grants["bank"])}, nil
	}
	return Identity{}, fmt.Errorf("%w: %s", ErrNoIdentity, uri)
}
