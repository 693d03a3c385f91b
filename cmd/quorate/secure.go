package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/pki"
)

// expirySoon is how long before its end a certificate is worth a warning.
const expirySoon = 30 * 24 * time.Hour

// openKeys reads what a node proves itself with. Nil: it does without, which has to be asked for and is for loopback addresses only.
func openKeys(config *node.Config, listen map[string]string, log *slog.Logger) (*pki.Keys, error) {
	if config.TLS == (node.TLSFiles{}) {
		return nil, checkInsecure(config, listen)
	}
	files := pki.Files{CA: config.TLS.CA, Cert: config.TLS.Cert, Key: config.TLS.Key}
	keys, err := pki.Load(files, func(err error) {
		if err != nil {
			log.Error("certificate files have changed and can't be used: those before them stay in use", "err", err)
			return
		}
		log.Info("certificates read again: new connections use them", "cert", files.Cert)
	})
	if err != nil {
		return nil, &adviceError{misconfigured(fmt.Errorf("tls: %w", err)), "quorate cert --help"}
	}
	id, err := keys.Identity()
	if err != nil {
		return nil, misconfigured(fmt.Errorf("tls: %s: %w", files.Cert, err))
	}
	if id.Node != config.Node {
		return nil, &adviceError{
			misconfigured(fmt.Errorf("tls: %s is %s certificate, and this is node %d", files.Cert, id, config.Node)),
			fmt.Sprintf("quorate cert create-node %d", config.Node),
		}
	}
	if err := keys.CheckChain(time.Now()); err != nil {
		return nil, &adviceError{
			misconfigured(fmt.Errorf("tls: no node would believe %s by the authority in %s: %w", files.Cert, files.CA, err)),
			fmt.Sprintf("the ca.pem of the authority that has signed it, or quorate cert create-node %d with the one in %s", config.Node, files.CA),
		}
	}
	return keys, nil
}

// unnamed says in sentences where clients would be told to go and not believe the certificate. Nodes ask each other for their ids, not for names.
func unnamed(config *node.Config, keys *pki.Keys) (warnings []string) {
	self, err := config.Self()
	if keys == nil || err != nil {
		return nil
	}
	known := map[string]bool{"": true}
	for _, address := range []string{self.GRPC, self.HTTP} {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || known[host] || ip != nil && ip.IsUnspecified() { // listening tells what is no address
			continue
		}
		known[host] = true
		if err := keys.CheckHost(host); err != nil {
			warnings = append(warnings, fmt.Sprintf("clients that come to %s won't believe this node: %v. try: quorate cert create-node %d --host %s --force", address, err, config.Node, host))
		}
	}
	return warnings
}

// checkInsecure says why a node may not do without certificates; nil if it may.
func checkInsecure(config *node.Config, listen map[string]string) error {
	if !config.Insecure {
		return &adviceError{
			misconfigured(errors.New("tls: it is missing. why: without certificates anybody who reaches the ports can move money")),
			"quorate cert create-ca and create-node, or insecure: true for a cluster on this machine alone",
		}
	}
	self, err := config.Self()
	if err != nil {
		return misconfigured(err)
	}
	doors := map[string]string{"peer": self.Peer, "grpc": self.GRPC, "http": self.HTTP}
	for key, address := range listen {
		doors[key] = address
	}
	for _, key := range []string{"peer", "grpc", "http"} {
		if _, _, err := net.SplitHostPort(doors[key]); err == nil && !isLoopback(doors[key]) { // listening tells what is no address
			return &adviceError{
				misconfigured(fmt.Errorf("insecure: true, and %s for %s is no loopback address. why: whoever reaches it could move money", doors[key], key)),
				"quorate cert create-ca and create-node, and name the files under tls",
			}
		}
	}
	return nil
}

// isLoopback says of a host:port that only this machine reaches it.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// expiring says in sentences which certificates end soon, or have ended.
func expiring(keys *pki.Keys, now time.Time) (warnings []string) {
	if keys == nil {
		return nil
	}
	e := keys.Expiries()
	for _, c := range []struct {
		name, renew string
		at          time.Time
	}{{"the authority's certificate", "create-ca", e.CA}, {"this node's certificate", "create-node", e.Own}} {
		switch {
		case c.at.IsZero() || c.at.Sub(now) > expirySoon:
		case c.at.After(now):
			warnings = append(warnings, fmt.Sprintf("%s ends in %d days, at %s. try: quorate cert %s", c.name, int(c.at.Sub(now).Hours()/24), timeText(c.at), c.renew))
		default:
			warnings = append(warnings, fmt.Sprintf("%s has ended at %s. try: quorate cert %s", c.name, timeText(c.at), c.renew))
		}
	}
	return warnings
}
