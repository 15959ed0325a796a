// Package config has the options of a build that never runs.
package config

import "time"

// KanikoDir is where kaniko would work.
var KanikoDir string

type RegistryOptions struct{}

type CacheOptions struct{ CacheTTL time.Duration }

type KanikoOptions struct {
	CacheOptions
	BuildArgs, IgnorePaths                                []string
	CacheRepo, CustomPlatform, DockerfilePath, SrcContext string
	SnapshotMode                                          string
	Cache, CacheRunLayers, CacheCopyLayers, Cleanup       bool
	IgnoreVarRun, InitialFSUnpacked, NoPush, Reproducible bool
}
