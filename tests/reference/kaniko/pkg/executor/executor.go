// Package executor fails to build: image extensions are beyond these tests.
package executor

import (
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osscontainertools/kaniko/pkg/config"
)

func DoBuild(*config.KanikoOptions) (v1.Image, error) {
	return nil, errors.New("this lifecycle was built without kaniko and cannot apply a Dockerfile")
}
