"""What is called in each library: one module a library, one function a case.

The functions of one name do the same job, so that a row is a job and a column is a library. Quotas
are so large that everything is allowed, unless the case is about a refusal or a wait.
"""
