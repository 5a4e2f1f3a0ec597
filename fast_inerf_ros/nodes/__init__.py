"""ROS 2 nodes and the only modules that know ROS."""
