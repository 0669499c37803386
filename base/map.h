/*
 * map - a file's bytes in memory, read-only.
 *
 * The mapping is gone at map_close(); whatever points into it must go first.
 * Regular files only.  A file that another process truncates meanwhile raises
 * SIGBUS: models are never rewritten in place, so we accept that.
 * Immutable: share it.
 */
#ifndef RAG_BASE_MAP_H
#define RAG_BASE_MAP_H

#include <stddef.h>

struct map {
	const unsigned char *data;	/* NULL for an empty file */
	size_t len;
};

/* RAG_ENOENT, RAG_EIO (names the file), RAG_EINVAL for what is no regular file. */
int map_open(struct map *out, const char *path);
void map_close(struct map *m);	/* a zeroed map is allowed */

#endif
