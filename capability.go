package arpc

// capability is an extension that both ends agreed to, as a bit.
type capability uint32

// The capabilities of the engine.
const (
	capBatch  capability = 1 << iota // several frames may share a WebSocket message
	capCancel                        // a caller may say that it gave up
	capErrors                        // errors have a code and data
	capKind                          // bodies say what they are
	capGoaway                        // a server that stops says so in time
	capCredit                        // streams wait for their receivers
	capResume                        // a session outlives its connection

	// capExtended is not on the wire: it says that hello was answered at all.
	capExtended capability = 1 << 31
)

// capabilities are those of this version, in the order hello lists them.
var capabilities = []struct {
	bit  capability
	name string
}{
	{capBatch, "batch"},
	{capCancel, "cancel"},
	{capErrors, "errors"},
	{capKind, "kind"},
	{capCredit, "credit"},
	{capGoaway, "goaway"},
	{capResume, "resume"},
}

// capabilitiesOf are the bits of names, those of extensions included; names that
// are not known mean nothing.
func (h *Handler) capabilitiesOf(names []string) (bits capability) {
	extended := h.extensionSet().list
	for _, name := range names {
		for _, c := range capabilities {
			if c.name == name {
				bits |= c.bit
			}
		}
		for i, e := range extended {
			if e.Capability == name {
				bits |= bit(i)
			}
		}
	}
	return bits
}

// capabilityNames are the names of bits.
func (h *Handler) capabilityNames(bits capability) []string {
	extended := h.extensionSet().list
	names := make([]string, 0, len(capabilities)+len(extended))
	for _, c := range capabilities {
		if bits&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	for i, e := range extended {
		if bits&bit(i) != 0 {
			names = append(names, e.Capability)
		}
	}
	return names
}

// everyCapability has the bits of all that this version and its extensions know.
const everyCapability = capExtended - 1
