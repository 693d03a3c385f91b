package main

import "strings"

// tlsTroubles are what TLS says when two sides don't get together, and what to do about it.
var tlsTroubles = []struct{ said, try string }{
	{"it answers HTTP, not gRPC", "--server with the node's port for gRPC: this one is for HTTP"},
	{"tls: first record does not look like a TLS handshake", "the same without --ca (and $" + caEnv + "): this server speaks plain TCP"},
	{"error reading server preface", "--ca, --cert and --key, if the server wants TLS; or another port, if this is not the one for gRPC"},
	{"remote error: tls: expired certificate", "quorate cert create-client NAME --role … --force: the certificate of --cert has ended"},
	{"remote error: tls: unknown certificate authority", "--cert with a certificate that this cluster's authority has signed"},
	{"remote error: tls: ", "--cert with a certificate that quorate cert create-client has made"},
	{"x509: certificate has expired", "quorate cert create-node ID --force, for the server: its certificate has ended"},
	{"x509: certificate signed by unknown authority", "--ca with the certificate of the authority that has signed the server's"},
	{"x509: certificate is valid for ", "--server with one of the names in the certificate, or a new one: quorate cert create-node ID --host NAME --force"},
	{"x509: certificate is not valid for ", "--server with one of the names in the certificate, or a new one: quorate cert create-node ID --host NAME --force"},
	{"there is no client certificate", "--cert client.pem --key client.key, made by quorate cert create-client; or --token-file"},
}

// adviceForTLS says what to do about an error of a connection; "" if it isn't one.
func adviceForTLS(text string) string {
	for _, t := range tlsTroubles {
		if strings.Contains(text, t.said) {
			return t.try
		}
	}
	return ""
}
