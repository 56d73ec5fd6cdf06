//go:build !unix

package auditchain

import "os"

// openState opens PATH.chain.
func openState(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
