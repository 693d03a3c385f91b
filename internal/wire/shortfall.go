package wire

import "github.com/quorate/quorate/transfer"

// AppendShortfall writes what an account lacked, or nothing.
func AppendShortfall(b []byte, number Field, s *transfer.Shortfall) []byte {
	if s == nil {
		return b
	}
	b, mark := OpenMessage(b, number)
	b = AppendText(b, 1, string(s.Account))
	b = AppendText(b, 2, string(s.Currency))
	b = AppendSint(b, 3, s.AvailableMinor)
	b = AppendUint(b, 4, uint64(s.NeededMinor))
	return CloseMessage(b, mark)
}

// Shortfall reads what an account lacked.
func (c *Cursor) Shortfall() *transfer.Shortfall {
	s := &transfer.Shortfall{}
	m := c.Message()
	for m.Next() {
		switch m.Number {
		case 1:
			s.Account = transfer.AccountID(m.Text())
		case 2:
			s.Currency = transfer.Currency(m.Text())
		case 3:
			s.AvailableMinor = m.Sint()
		case 4:
			s.NeededMinor = m.Amount()
		default:
			m.Unknown()
		}
	}
	c.Join(&m)
	c.Once()
	return s
}
