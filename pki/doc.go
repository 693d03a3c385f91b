// Package pki makes, reads and watches the certificates that the nodes and clients of a cluster prove themselves with.
//
// It never decides what a client may do: it says who somebody is and what the certificate grants.
//
// A certificate names its holder in one URI: quorate:node/ID for a node, quorate:client/NAME?role=…&bank=… for a client.
// Every certificate is signed by the cluster's own authority. One authority is one cluster: whoever holds a node's
// certificate of it is believed to be that node.
//
// Invariants:
//   - TLS 1.3 or nothing; no session is resumed, so every connection is verified against the files of that moment
//   - files that can't be used change nothing: the certificate before them stays in use, and that is told
//   - a private key is written with mode 0600, and no file is replaced unless that was asked for
package pki
