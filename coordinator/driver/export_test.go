package driver

import "github.com/quorate/quorate/transfer"

// FingerprintOf is the content in flight under an id, as a bank that was asked would repeat it; zero if there is none.
func (d *Driver) FingerprintOf(id transfer.ID) transfer.Fingerprint {
	if f := d.flights[id]; f != nil {
		return f.fingerprint
	}
	return transfer.Fingerprint{}
}
