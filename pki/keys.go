package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Files are the PEM files that one side of a connection needs. A client that proves itself with a token has no Cert and Key.
type Files struct {
	CA   string // the authorities that are trusted: one, or two while one replaces the other
	Cert string
	Key  string
}

// Keys are certificates in use. They follow their files: every new connection looks whether they have changed.
type Keys struct {
	files Files
	// report hears when the files have changed: err says why they can't be used, nil that they are in use now.
	report func(err error)

	mu     sync.Mutex // guards all below
	now    *material
	stamps [3]stamp // of the files when they were read last, whether they could be used or not
}

// material is what the files held when they were read.
type material struct {
	roots   *x509.CertPool
	own     *tls.Certificate // nil: a client without one
	expires Expiries

	mu      sync.Mutex           // guards trusted
	trusted map[string]time.Time // until when a certificate is good, by its bytes, so that it is verified once and not with every request
}

// trustedMax bounds the certificates that are remembered. What comes when there are as many makes all be forgotten.
const trustedMax = 10_000

// Expiries are the times at which certificates end; zero: there is none.
type Expiries struct {
	CA  time.Time // the earliest of several
	Own time.Time
}

// stamp is by what a changed file is known.
type stamp struct {
	size int64
	time time.Time
}

// Load reads the files. report, if not nil, hears of later changes, from any goroutine.
func Load(files Files, report func(err error)) (*Keys, error) {
	if report == nil {
		report = func(error) {}
	}
	k := &Keys{files: files, report: report, stamps: files.stamps()}
	var err error
	if k.now, err = files.read(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the files again if they have changed. On error what was in use stays in use.
func (k *Keys) Reload() (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reload()
}

func (k *Keys) reload() (changed bool, err error) {
	stamps := k.files.stamps()
	if stamps == k.stamps {
		return false, nil
	}
	k.stamps = stamps
	next, err := k.files.read()
	if err == nil {
		k.now = next
	}
	k.report(err)
	return err == nil, err
}

// current is what a connection that begins now is made with.
func (k *Keys) current() *material {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = k.reload() // report has heard of an error
	return k.now
}

// Expiries says when the certificates in use end.
func (k *Keys) Expiries() Expiries { return k.current().expires }

// Identity is who the own certificate says we are.
func (k *Keys) Identity() (Identity, error) {
	own := k.current().own
	if own == nil {
		return Identity{}, ErrNoIdentity
	}
	return IdentityOf(own.Leaf)
}

// CheckChain says whether others will take the own certificate for that of a node: an authority that they trust as we do must have signed
// it, for both directions. What has ended is no error here but the business of Expiries.
func (k *Keys) CheckChain(now time.Time) error {
	m := k.current()
	if m.own == nil {
		return ErrNoIdentity
	}
	if m.own.Leaf.NotAfter.Before(now) {
		now = m.own.Leaf.NotAfter
	}
	between := x509.NewCertPool()
	for _, der := range m.own.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(cert)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := m.own.Leaf.Verify(x509.VerifyOptions{Roots: m.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckHost says whether clients that dial this name or address will take the own certificate.
func (k *Keys) CheckHost(host string) error {
	own := k.current().own
	if own == nil {
		return ErrNoIdentity
	}
	return own.Leaf.VerifyHostname(host)
}

func (f *Files) stamps() (stamps [3]stamp) {
	for i, file := range []string{f.CA, f.Cert, f.Key} {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}

func (f *Files) read() (*material, error) {
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	m := &material{roots: x509.NewCertPool()}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s holds what is no certificate: %w", f.CA, err)
		}
		m.roots.AddCert(cert)
		if m.expires.CA.IsZero() || cert.NotAfter.Before(m.expires.CA) {
			m.expires.CA = cert.NotAfter
		}
	}
	if m.expires.CA.IsZero() {
		return nil, fmt.Errorf("%s holds no certificate", f.CA)
	}
	if f.Cert == "" && f.Key == "" {
		return m, nil
	}
	cert, err := os.ReadFile(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	pair, err := pairOf(f.Cert, cert, f.Key, key)
	if err != nil {
		return nil, err
	}
	m.own, m.expires.Own = pair, pair.Leaf.NotAfter
	return m, nil
}

func pairOf(certFile string, cert []byte, keyFile string, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no certificate and its key: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// Server is for a listener that clients reach. Who shows a certificate must be able to prove it; that of a node is as good as none.
func (k *Keys) Server(protocols ...string) *tls.Config {
	return k.listen(tls.VerifyClientCertIfGiven, protocols)
}

// PeerServer is for a listener that only nodes reach.
func (k *Keys) PeerServer(protocols ...string) *tls.Config {
	return k.listen(tls.RequireAndVerifyClientCert, protocols)
}

func (k *Keys) listen(auth tls.ClientAuthType, protocols []string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := k.current()
		if now.own == nil {
			return nil, errors.New("no certificate to serve with")
		}
		return &tls.Config{
			MinVersion: tls.VersionTLS13, NextProtos: protocols, SessionTicketsDisabled: true,
			Certificates: []tls.Certificate{*now.own}, ClientAuth: auth, ClientCAs: now.roots,
		}, nil
	}
	return c
}

// Client is for connections to a node by one of its names. The authorities are those of this moment; the own certificate follows its file.
func (k *Keys) Client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: k.current().roots, GetClientCertificate: k.show}
}

// Peer is for connections to one node: whatever its address, its certificate must be that node's.
func (k *Keys) Peer(node uint64) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetClientCertificate: k.show,
		InsecureSkipVerify: true, // of names: VerifyConnection checks the chain and asks for more than a name
		VerifyConnection:   func(c tls.ConnectionState) error { return k.verifyPeer(c.PeerCertificates, node) },
	}
}

// StillTrusts says why whoever has shown these certificates to Server or PeerServer wouldn't be let in now: the connection may be older than the
// authority in force. It doesn't look at the files: Reload and every new connection do.
func (k *Keys) StillTrusts(chain []*x509.Certificate) error {
	k.mu.Lock()
	now := k.now
	k.mu.Unlock()
	return now.trusts(chain)
}

func (m *material) trusts(chain []*x509.Certificate) error {
	m.mu.Lock()
	until := m.trusted[string(chain[0].Raw)]
	m.mu.Unlock()
	if time.Now().Before(until) {
		return nil
	}
	verified, err := verify(chain, m.roots, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trusted == nil || len(m.trusted) >= trustedMax {
		m.trusted = map[string]time.Time{}
	}
	m.trusted[string(chain[0].Raw)] = endOf(verified)
	return nil
}

// endOf is when the last of several ways to an authority ends.
func endOf(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(last) {
			last = first.NotAfter
		}
	}
	return last
}

func (k *Keys) show(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if own := k.current().own; own != nil {
		return own, nil
	}
	return &tls.Certificate{}, nil
}

func (k *Keys) verifyPeer(chain []*x509.Certificate, node uint64) error {
	if len(chain) == 0 {
		return errors.New("the peer has shown no certificate")
	}
	if _, err := verify(chain, k.current().roots, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	id, err := IdentityOf(chain[0])
	if err != nil {
		return err
	}
	if id.Node != node {
		return fmt.Errorf("this should be node %d, and its certificate is %s", node, id)
	}
	return nil
}

// verify finds the ways from the first of some certificates to an authority.
func verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	return chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
}

// String is an identity for people.
func (id Identity) String() string {
	if id.Node != 0 {
		return fmt.Sprintf("node %d's", id.Node)
	}
	return fmt.Sprintf("client %s's", id.Client)
}
