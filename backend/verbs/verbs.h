// The verbs built into `tapline`, one source file each.
#pragma once

#include "backend/verbs/verb.h"

namespace tapline {

int create_verb(const Arguments& arguments);
int delete_verb(const Arguments& arguments);
int host_link_verb(const Arguments& arguments);
int doctor_verb(const Arguments& arguments);
int list_verb(const Arguments& arguments);
int reconcile_verb(const Arguments& arguments);
int allow_verb(const Arguments& arguments);
int exec_verb(const Arguments& arguments);

} // namespace tapline
