package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// clockSkew is how far another machine's clock may be behind ours.
const clockSkew = time.Hour

// Pair is a certificate and its key as PEM.
type Pair struct {
	Cert, Key []byte
	Expires   time.Time
}

// NewAuthority makes a cluster's authority: it signs, and is trusted by, every node and client.
func NewAuthority(now time.Time, lifetime time.Duration) (Pair, error) {
	template, err := newTemplate("Quorate cluster authority", now, lifetime)
	if err != nil {
		return Pair{}, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return sign(template, nil)
}

// NewNode makes the certificate of a node. Clients reach it as one of hosts, names or addresses.
func (a *Authority) NewNode(id uint64, hosts []string, now time.Time, lifetime time.Duration) (Pair, error) {
	template, err := newTemplate(fmt.Sprintf("node %d", id), now, lifetime)
	if err != nil {
		return Pair{}, err
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.URIs = append(template.URIs, Identity{Node: id}.URI())
	return sign(template, a)
}

// NewClient makes the certificate of a client, with what it grants.
func (a *Authority) NewClient(id Identity, now time.Time, lifetime time.Duration) (Pair, error) {
	template, err := newTemplate(id.Client, now, lifetime)
	if err != nil {
		return Pair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.URIs = append(template.URIs, id.URI())
	if _, err := parseURI(template.URIs[0]); err != nil {
		return Pair{}, err
	}
	return sign(template, a)
}

func newTemplate(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Quorate"}, CommonName: name},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, nil
}

// sign makes a key and its certificate; without an authority it signs itself.
func sign(template *x509.Certificate, by *Authority) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	parent, signer := template, any(key)
	if by != nil {
		if template.NotAfter.After(by.cert.NotAfter) { // it would be worth nothing by then
			template.NotAfter = by.cert.NotAfter
		}
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("write the key: %w", err)
	}
	return Pair{
		Cert:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		Expires: template.NotAfter,
	}, nil
}

// Authority can sign certificates.
type Authority struct {
	cert *x509.Certificate
	key  any
}

// LoadAuthority reads the authority's certificate and key. The first certificate of the file is the one that signs: others
// may follow it while the authority is being replaced.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := pairOf(certFile, certPEM, keyFile, keyPEM)
	if err != nil {
		return nil, err
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is no authority's certificate", certFile)
	}
	return &Authority{cert: pair.Leaf, key: pair.PrivateKey}, nil
}

// Write puts the pair into name.pem and name.key of a directory. Unless force is set, files that are there already are
// an error, and nothing is changed.
func (p Pair) Write(dir, name string, force bool) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	if !force {
		for _, file := range []string{certFile, keyFile} {
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				return certFile, keyFile, &ExistsError{file}
			}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return certFile, keyFile, err
	}
	if err := replaceFile(keyFile, p.Key, 0o600); err != nil { // a certificate that was there before no longer fits: readers wait for the next
		return certFile, keyFile, err
	}
	return certFile, keyFile, replaceFile(certFile, p.Cert, 0o644)
}

// ExistsError says that a file is there already.
type ExistsError struct{ File string }

func (e *ExistsError) Error() string { return e.File + " is there already; nothing was written" }

// replaceFile never leaves half a file under its name.
func replaceFile(file string, content []byte, mode fs.FileMode) error {
	half, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = half.Write(content)
	err = errors.Join(err, half.Chmod(mode), half.Sync(), half.Close())
	if err == nil {
		err = os.Rename(half.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(half.Name()))
	}
	return nil
}
