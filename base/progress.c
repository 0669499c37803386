#include "config.h"
#include "base/progress.h"

#include "base/err.h"

#include <stddef.h>

int progress_tick(const struct progress *p, const char *stage, const char *what,
		  uint64_t done, uint64_t total)
{
	struct progress_at at = { stage, what, done, total };

	if (p && p->fn && p->fn(p->arg, &at))
		return err_set(RAG_ECANCEL, "cancelled");
	return RAG_OK;
}
