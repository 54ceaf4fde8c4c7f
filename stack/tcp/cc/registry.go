package cc

// Has says whether there is a controller of that name.
func Has(name string) bool { return name == "cubic" || name == "reno" }

// New returns the controller of the given name in its initial state, or nil if there is none.
func New(name string) Controller {
	switch name {
	case "cubic":
		return new(cubic)
	case "reno":
		return new(newReno)
	}
	return nil
}
