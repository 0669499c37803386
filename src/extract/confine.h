/*
 * confine - locks the process in before it looks at a stranger's bytes.
 *
 * From confine_enter() on there are no sockets, no new processes, threads or
 * programs, no code pages, no files but reading below `readable`, and limits
 * on memory and processor time.  Three layers, because each covers what the
 * others cannot: rlimits (memory, time, size of the output), Landlock (which
 * files; without it, on older kernels, none at all), seccomp (which calls;
 * what is not needed gives EPERM).  If any of them cannot be had the process
 * must not go on.
 */
#ifndef RAG_SRC_EXTRACT_CONFINE_H
#define RAG_SRC_EXTRACT_CONFINE_H

#include <stddef.h>

/* Right at the start: no descriptors but 0, 1, 2; dies with its parent. */
void confine_early(void);
/* mapped: bytes of the file, on top of EXTRACT_MEMORY.  readable: folders. */
int confine_enter(size_t mapped, const char *const *readable);

#endif
