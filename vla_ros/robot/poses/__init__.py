"""Links instead of joints: kinematics both ways, plans of poses, the workspace."""
